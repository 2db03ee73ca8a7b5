package users

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// LogFilter says which lines of the log are wanted. The zero LogFilter wants all.
type LogFilter struct {
	User  string    // normalised; "" is everybody, also those nobody knows
	Since time.Time // and later
}

func (f LogFilter) wants(e Entry) bool {
	return (f.User == "" || e.User == f.User) && !e.Time.Before(f.Since)
}

const (
	maxEntry = 4 << 10 // bytes; longer ones are not ours
	lookPace = 500 * time.Millisecond
)

// ReadLog gives the lines of the log in a directory of accounts, the oldest first. It
// needs no Store: the log can be read while the daemon is down, and while it writes.
// A line that is damaged is left out. An error comes last.
func ReadLog(dir string, f LogFilter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		files, err := logFilesOf(dir)
		defer func() {
			for _, l := range files {
				_ = l.f.Close() // read
			}
		}()
		for _, l := range slices.Backward(files) {
			if err != nil {
				break
			}
			var more bool
			if more, err = l.read(f, yield); !more {
				return
			}
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// FollowLog is ReadLog that goes on with what is written later, until ctx ends.
func FollowLog(ctx context.Context, dir string, f LogFilter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := follower{dir: dir}
		defer w.close()
		tick := time.NewTicker(lookPace)
		defer tick.Stop()
		for {
			more, err := w.look(f, yield)
			if err != nil {
				yield(Entry{}, err)
			}
			if err != nil || !more {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// follower reads the log as it grows. The file it has read last stays open, so that
// its number is not given to another and tells which files are newer.
type follower struct {
	dir  string
	last *logPart // nil before the first
}

// look gives what is new; false when no more is wanted.
func (w *follower) look(f LogFilter, yield func(Entry, error) bool) (more bool, err error) {
	files, err := logFilesOf(w.dir)
	newer := len(files)
	if w.last != nil {
		if i := slices.IndexFunc(files, w.last.same); i >= 0 {
			newer = i
		}
		if err == nil {
			more, err = w.last.read(f, yield)
		}
	} else {
		more = true
	}
	for i, l := range slices.Backward(files) {
		if i >= newer || err != nil || !more {
			_ = l.f.Close() // read
			continue
		}
		w.close()
		w.last = l
		more, err = l.read(f, yield)
	}
	return more, err
}

func (w *follower) close() {
	if w.last != nil {
		_ = w.last.f.Close() // read
	}
}

// logPart is one file of the log.
type logPart struct {
	f    *os.File
	info os.FileInfo
	at   int64 // read so far, always the start of a line
}

// logFilesOf opens the files, the newest first, each once: a rotation may pass by.
func logFilesOf(dir string) (out []*logPart, err error) {
	for i := range logFiles {
		f, err := os.Open(logFile(filepath.Join(dir, logName), i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("cannot read the log of logins: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			return out, errors.Join(fmt.Errorf("cannot read the log of logins: %w", err), f.Close())
		}
		l := &logPart{f: f, info: info}
		if slices.ContainsFunc(out, l.same) {
			_ = f.Close() // read already
			continue
		}
		out = append(out, l)
	}
	return out, nil
}

func (l *logPart) same(o *logPart) bool { return os.SameFile(l.info, o.info) }

// read gives the whole lines from l.at on; false when no more is wanted.
func (l *logPart) read(f LogFilter, yield func(Entry, error) bool) (more bool, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(l.f, l.at, 1<<40), maxEntry)
	for {
		line, err := r.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil && !long:
			return true, fmt.Errorf("cannot read the log of logins: %w", err)
		}
		l.at += int64(len(line))
		var e Entry
		if long || json.Unmarshal(line, &e) != nil || e.Event == "" || !f.wants(e) {
			continue // of a long line each piece is left out
		}
		if !yield(e, nil) {
			return false, nil
		}
	}
}
