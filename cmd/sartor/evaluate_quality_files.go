package main

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// ncfOrder writes ml-1m's ratings such that the film which NCF's published test part holds out is the last of
// its user: of the films of one second, of which it is one, NCF's authors took another than the last of the file.
func ncfOrder(data, work string) (err error) {
	held := map[string]string{}
	if err := eachRow(filepath.Join(data, "ncf_test.csv.gz"), func(row []string) error {
		if len(row) < 2 {
			return fmt.Errorf("a row of %d columns: need user_id and movie_id", len(row))
		}
		held[row[0]] = row[1]
		return nil
	}); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(work, "ratings.csv"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := csv.NewWriter(file)
	const afterAll = "1000000" // nobody rated so many
	order := -1
	if err := eachRow(filepath.Join(data, "ratings.csv.gz"), func(row []string) error {
		if order < 0 {
			if order = slices.Index(row, "user_seq"); order < 0 {
				return fmt.Errorf("no column user_seq")
			}
		} else if held[row[0]] == row[1] {
			row[order] = afterAll
		}
		return w.Write(row)
	}); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// eachRow calls do with every row of a compressed table, its head included.
func eachRow(path string, do func(row []string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	rows := csv.NewReader(z)
	rows.ReuseRecord = true
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(row)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}
