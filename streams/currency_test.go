package streams

import "testing"

func TestExponent(t *testing.T) {
	for currency, want := range map[string]int{"EUR": 2, "USD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "TND": 3, "CLF": 4, "": 2, "???": 2, "jpy": 2} {
		if got := Exponent(currency); got != want {
			t.Errorf("%q has %d decimal places, want %d", currency, got, want)
		}
	}
}
