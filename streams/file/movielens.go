package file

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sartorhq/sartor/streams"
)

// movieLens reads the movies and users, stamped with the time of the first rating, and then the
// ratings. The ratings' file is not in order of time: all of it is held in memory (40 bytes a rating)
// and sorted.
type movieLens struct {
	ratingsTable, movies, users *table
	now                         *table
	ratings                     []mlRating // left to return
	sorted                      bool
	first                       time.Time
}

// mlRating is one rating, small enough to keep millions.
type mlRating struct {
	ts, user, movie int64
	seq             int32
	stars           int8
}

func openMovieLens(path string) (reader, error) {
	path, err := locate(path, "ratings.csv")
	if err != nil {
		return nil, err
	}
	r := &movieLens{}
	if r.ratingsTable, err = openTable(path, ',', "user_id", "movie_id", "rating", "ts", "user_seq"); err != nil {
		return nil, err
	}
	r.now = r.ratingsTable
	if p := sibling(path, "movies.csv"); p != "" {
		if r.movies, err = openTable(p, ',', "movie_id", "title", "genres"); err != nil {
			_ = r.close()
			return nil, err
		}
	}
	if p := sibling(path, "users.csv"); p != "" {
		if r.users, err = openTable(p, ',', "user_id", "gender", "age", "occupation", "zip_code"); err != nil {
			_ = r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *movieLens) at() (string, int) { return r.now.at() }
func (r *movieLens) close() error      { return closeAll(r.ratingsTable, r.movies, r.users) }

// read first loads and sorts the ratings, then takes a row of the movies, of the users, or a rating.
func (r *movieLens) read(s *Source) error {
	if !r.sorted {
		return r.load()
	}
	if r.movies != nil {
		return r.side(s, &r.movies, r.movie)
	}
	if r.users != nil {
		return r.side(s, &r.users, r.user)
	}
	if len(r.ratings) == 0 {
		return io.EOF
	}
	x := r.ratings[0]
	r.ratings = r.ratings[1:]
	s.row()
	return s.emit(streams.Event{ID: "ml-" + strconv.FormatInt(x.user, 10) + "-" + strconv.FormatInt(x.movie, 10),
		Type: streams.Rating, Time: time.Unix(x.ts, 0).UTC(), UserID: strconv.FormatInt(x.user, 10),
		Items: []streams.Line{{ItemID: strconv.FormatInt(x.movie, 10)}}, Rating: float64(x.stars)})
}

// load reads all ratings and sorts them by time, user and the user's own order.
func (r *movieLens) load() error {
	t := r.ratingsTable
	for {
		err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var v [5]int64
		for i := range v {
			if v[i], err = t.integer(i); err != nil {
				return err
			}
		}
		if v[2] < 1 || v[2] > 5 {
			return t.fail(2, "is not from 1 to 5")
		}
		if v[3] < 1 {
			return t.fail(3, "is not a time in Unix seconds")
		}
		if v[4] < 0 || v[4] > 1<<30 {
			return t.fail(4, "is not an order number")
		}
		r.ratings = append(r.ratings, mlRating{ts: v[3], user: v[0], movie: v[1], seq: int32(v[4]), stars: int8(v[2])})
	}
	slices.SortFunc(r.ratings, func(a, b mlRating) int {
		return cmp.Or(cmp.Compare(a.ts, b.ts), cmp.Compare(a.user, b.user), cmp.Compare(a.seq, b.seq),
			cmp.Compare(a.movie, b.movie))
	})
	if len(r.ratings) > 0 {
		r.first = time.Unix(r.ratings[0].ts, 0).UTC()
	} else {
		r.first = time.Unix(1, 0).UTC()
	}
	r.sorted = true
	return nil
}

// side reads a row of a side table and closes the table at its end.
func (r *movieLens) side(s *Source, t **table, row func(*Source) error) error {
	r.now = *t
	err := (*t).next()
	if errors.Is(err, io.EOF) {
		err = (*t).close()
		*t = nil
		return err
	}
	if err != nil {
		return err
	}
	s.row()
	return row(s)
}

func (r *movieLens) movie(s *Source) error {
	id, err := r.movies.id(0)
	if err != nil {
		return err
	}
	title := r.movies.text(1)
	attributes := map[string]any{"title": title}
	if genres := r.movies.text(2); genres != "" {
		names := strings.Split(genres, "|")
		tags := make([]any, len(names))
		for i, g := range names {
			tags[i] = g
		}
		attributes["tags"], attributes["category"], attributes["category_path"] = tags, names[0], []any{names[0]}
	}
	// "Toy Story (1995)"
	if n := len(title); n > 6 && title[n-6] == '(' && title[n-1] == ')' {
		attributes["year"] = title[n-5 : n-1]
	}
	return s.emit(streams.Event{ID: "ml-movie-" + id, Type: streams.ItemUpsert, Time: r.first,
		Items: []streams.Line{{ItemID: id}}, Attributes: attributes})
}

func (r *movieLens) user(s *Source) error {
	id, err := r.users.id(0)
	if err != nil {
		return err
	}
	attributes := map[string]any{}
	for i, name := range []string{"gender", "age", "occupation", "zip_code"} {
		attributes[name] = r.users.text(i + 1)
	}
	return s.emit(streams.Event{ID: fmt.Sprintf("ml-user-%s", id), Type: streams.UserUpsert, Time: r.first, UserID: id, Attributes: attributes})
}
