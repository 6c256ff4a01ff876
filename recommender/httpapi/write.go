package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/sartorhq/sartor/recommender"
)

// replyRecommendation answers with a recommendation: the bytes that encoding/json makes of toRecommendation,
// without the way through reflection. Explanations, which are for people, take that way.
func replyRecommendation(c *fiber.Ctx, r *recommender.Response) error {
	data, err := MarshalRecommendation(r)
	if err != nil {
		return err
	}
	return replyRaw(c, http.StatusOK, fiber.MIMEApplicationJSON, data)
}

// MarshalRecommendation writes an answer as POST /v1/recommend does, for whoever answers in other ways.
func MarshalRecommendation(r *recommender.Response) ([]byte, error) {
	var data []byte
	var err error
	if r.Explain != nil {
		data, err = json.Marshal(toRecommendation(r))
	} else {
		data, err = appendRecommendation(make([]byte, 0, 512+128*len(r.Items)), r)
	}
	if err != nil {
		return nil, fmt.Errorf("encode a recommendation: %w", err)
	}
	return data, nil
}

// appendRecommendation appends what json.Marshal(toRecommendation(r)) returns for an answer without an
// explanation. TestAppendedRecommendation holds the two to the same bytes.
func appendRecommendation(b []byte, r *recommender.Response) (_ []byte, err error) {
	b = appendText(append(b, `{"recommendation_id":`...), r.RecommendationID)
	b = append(b, `,"items":[`...)
	for i := range r.Items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendItem(b, &r.Items[i]); err != nil {
			return nil, err
		}
	}
	b = appendText(append(b, `],"served_by":`...), string(r.ServedBy))
	b = appendTexts(append(b, `,"degraded":`...), r.Degraded)
	b = appendText(append(b, `,"versions":{"model":`...), r.Versions.Model)
	b = appendText(append(b, `,"rules":`...), r.Versions.Rules)
	b = appendText(append(b, `,"schema":`...), r.Versions.Schema)
	b = append(b, '}')
	if r.NextCursor != "" {
		b = appendText(append(b, `,"next_cursor":`...), r.NextCursor)
	}
	return append(b, '}'), nil
}

func appendItem(b []byte, it *recommender.Item) (_ []byte, err error) {
	b = appendText(append(b, `{"item_id":`...), it.ItemID)
	if b, err = appendNumber(append(b, `,"score":`...), shownScore(it.Score)); err != nil {
		return nil, err
	}
	b = appendText(append(b, `,"source":`...), it.Source)
	b = appendTexts(append(b, `,"reasons":`...), it.Reasons)
	if len(it.Badges) > 0 {
		b = appendTexts(append(b, `,"badges":`...), it.Badges)
	}
	if len(it.Notes) > 0 {
		if b, err = appendAny(append(b, `,"notes":`...), it.Notes); err != nil {
			return nil, err
		}
	}
	if len(it.Fields) > 0 {
		if b, err = appendAny(append(b, `,"fields":`...), it.Fields); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// shownScore is a score as it is told: no more digits than mean something.
func shownScore(score float64) float64 { return math.Round(score*1e6) / 1e6 }

func appendAny(b []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(b, data...), err
}

func appendTexts(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

// appendText appends a text in quotes. What needs to be escaped, or is not ASCII, is left to encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			data, err := json.Marshal(s)
			if err != nil { // texts always encode
				return append(b, `""`...)
			}
			return append(b, data...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendNumber appends a number as encoding/json does; one of great or small size is left to it.
func appendNumber(b []byte, v float64) ([]byte, error) {
	if size := math.Abs(v); v == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, v, 'f', -1, 64), nil
	}
	return appendAny(b, v)
}
