package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sartorhq/sartor/models"
)

// otherKinds refuses flags that were given and mean nothing to the kinds that are trained: who asks for --features of a kind that
// reads none would believe that they were read. The help of such a flag begins with the kinds that know it.
func otherKinds(flags *pflag.FlagSet, model string, kinds []string) error {
	known := []string{models.KindALS, models.KindLAE, models.KindEncoder, models.KindBlend}
	var wrong error
	flags.Visit(func(f *pflag.Flag) {
		head, _, _ := strings.Cut(f.Usage, ": ")
		named := strings.Split(head, ", ")
		for i, kind := range named {
			named[i], _, _ = strings.Cut(kind, " ") // "encoder with --features"
			if !slices.Contains(known, named[i]) {
				return
			}
			if slices.Contains(kinds, named[i]) {
				return
			}
		}
		if wrong == nil {
			wrong = usagef("--%s is for %s, and --model %s would leave it out: leave it out yourself, or choose another kind", f.Name, strings.Join(named, ", "), model)
		}
	})
	return wrong
}

// trainedKinds lists the kinds that a call may train.
func (f trainFlags) trainedKinds() []string {
	switch f.options.Kind {
	case kindAuto:
		return []string{models.KindALS, models.KindLAE}
	case models.KindBlend:
		return append([]string{models.KindBlend}, f.t.Blend.Of...)
	}
	return []string{f.options.Kind}
}
