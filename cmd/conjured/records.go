package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/conjuring/conjured/appliance"
)

// records is a directory that says what was built for which fingerprint. A record is
// written after the thing is there and tested; whether it still is there is asked of
// Docker and of the environment store each time.
type records struct{ dir string }

// imageRecord is what layers made for one Setup.Image.
type imageRecord struct {
	Base   string `json:"base"`
	Core   string `json:"core"`
	System string `json:"system"`
	Key    string `json:"key"`
}

// environmentRecord is what environments made for one Setup.EnvironmentKey.
type environmentRecord struct {
	Number int    `json:"number"`
	ID     string `json:"id"`
	Image  string `json:"image"` // id of the image it was built in
}

func (r records) imageFile(fp string) string { return filepath.Join(r.dir, "image-"+fp+".json") }

func (r records) environmentFile(key string) string {
	return filepath.Join(r.dir, "environment-"+digest(key)+".json")
}

func (r records) image(fp string) (imageRecord, error) {
	var v imageRecord
	err := readJSON(r.imageFile(fp), &v)
	return v, err
}

func (r records) environment(key string) (environmentRecord, error) {
	var v environmentRecord
	err := readJSON(r.environmentFile(key), &v)
	return v, err
}

// hasEnvironment tells whether packages with this identity were made for a setup.
func (r records) hasEnvironment(id string) (bool, error) {
	names, err := filepath.Glob(filepath.Join(r.dir, "environment-*.json"))
	if err != nil {
		return false, err
	}
	for _, n := range names {
		var v environmentRecord
		if err := readJSON(n, &v); err == nil && v.ID == id { // one that cannot be read is made again
			return true, nil
		}
	}
	return false, nil
}

// forget makes a setup's image and environment unknown, so that they are made again.
func (r records) forget(s appliance.Setup) error {
	for _, f := range []string{r.imageFile(s.Image), r.environmentFile(s.EnvironmentKey())} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// images are the fingerprints of all image records.
func (r records) images() ([]string, error) {
	names, err := filepath.Glob(filepath.Join(r.dir, "image-*.json"))
	for i, n := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(n), "image-"), ".json")
	}
	return names, err
}

// keep removes the records of all setups but these.
func (r records) keep(setups []appliance.Setup) error {
	wanted := map[string]bool{}
	for _, s := range setups {
		wanted[r.imageFile(s.Image)] = true
		wanted[r.environmentFile(s.EnvironmentKey())] = true
	}
	all, err := filepath.Glob(filepath.Join(r.dir, "*-*.json"))
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range all {
		if base := filepath.Base(f); !wanted[f] && (strings.HasPrefix(base, "image-") || strings.HasPrefix(base, "environment-")) {
			errs = append(errs, os.Remove(f))
		}
	}
	return errors.Join(errs...)
}
