package appliance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	historyFile = "history.jsonl"
	olderFile   = "history.1.jsonl"
	maxHistory  = 1 << 20 // bytes of history.jsonl before it becomes history.1.jsonl
	maxEntry    = 64 << 10
)

// Record appends e to the history, which holds at most about 2 MiB. It is not synced:
// a power cut may cost the newest entries.
func (j *Journal) Record(e Entry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	if len(raw) > maxEntry { // hundreds of notices: the state has them
		e.Notices = e.Notices[:1]
		if raw, err = json.Marshal(e); err != nil {
			return fmt.Errorf("cannot write the history: %w", err)
		}
	}
	path := filepath.Join(j.dir, historyFile)
	if info, err := os.Stat(path); err == nil && info.Size() > maxHistory {
		if err := os.Rename(path, filepath.Join(j.dir, olderFile)); err != nil {
			return fmt.Errorf("cannot turn the history over: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	// A leading newline ends a line that a power cut left unfinished.
	_, err = f.Write(append(append([]byte{'\n'}, raw...), '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	return nil
}

// History gives the newest n results, oldest first. Lines that cannot be read are left out.
func (j *Journal) History(n int) ([]Entry, error) {
	var out []Entry
	for _, name := range []string{olderFile, historyFile} {
		f, err := os.Open(filepath.Join(j.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("cannot read the history: %w", err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 2*maxEntry)
		for lines.Scan() {
			var e Entry
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Kind != "" {
				out = append(out, e)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, fmt.Errorf("cannot read the history: %w", err)
		}
	}
	return out[max(0, len(out)-n):], nil
}
