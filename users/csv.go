package users

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"

	"github.com/gocarina/gocsv"
)

// line is one physical line of users.csv. Its fields are the columns of the reader
// below, in order: gocsv fills a struct without headings by position.
type line struct {
	User     string `csv:"user"`
	Password string `csv:"password"`
	Admin    string `csv:"admin"`
	Extra    string `csv:"id"`
	// gocsv leaves these alone.
	Number   int    `csv:"-"` // 1-based
	Raw      string `csv:"-"` // with a carriage return, without a line feed
	Unclosed bool   `csv:"-"` // a quotation mark has no partner on this line
}

// splitLines cuts at LF, or at CR in a file that has no LF (old Macintosh). A last
// line without its line feed counts; a CR before LF stays.
func splitLines(data []byte) []string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !bytes.ContainsRune(data, '\n') {
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\r\n"))
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// decode is the one place that knows gocsv. separator is what stands between
// cells; extra is the 0-based column of the id, or -1.
func decode(raw []string, separator rune, extra int) ([]line, error) {
	src := &cells{raw: raw, separator: separator, extra: extra, unclosed: make([]bool, len(raw))}
	var out []line
	if err := gocsv.UnmarshalCSVWithoutHeaders(src, &out); err != nil {
		return nil, err
	}
	out = out[:len(raw)]
	for i := range out {
		out[i].Number, out[i].Raw, out[i].Unclosed = i+1, raw[i], src.unclosed[i]
	}
	return out, nil
}

// cells reads each physical line on its own, so that a quotation mark which is
// never closed can't swallow the rest of the class, and gives every line exactly
// the cells that gocsv expects (it panics on more).
type cells struct {
	raw       []string
	separator rune
	extra     int
	unclosed  []bool
	next      int
}

// Read implements gocsv.CSVReader.
func (c *cells) Read() ([]string, error) {
	if c.next == len(c.raw) {
		return nil, io.EOF
	}
	i := c.next
	c.next++
	got, unclosed := splitCells(strings.TrimRight(c.raw[i], "\r"), c.separator)
	c.unclosed[i] = unclosed
	out := make([]string, 4)
	copy(out[:3], got)
	if c.extra >= 3 && c.extra < len(got) {
		out[3] = got[c.extra]
	}
	return out, nil
}

// ReadAll implements gocsv.CSVReader.
func (c *cells) ReadAll() ([][]string, error) {
	var all [][]string
	for {
		row, err := c.Read()
		if err == io.EOF {
			return all, nil
		}
		all = append(all, row)
	}
}

// splitCells reads one line by RFC 4180, forgiving marks in odd places.
func splitCells(s string, separator rune) (got []string, unclosed bool) {
	r := csv.NewReader(strings.NewReader(s + "\n"))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = separator, true, -1
	got, err := r.Read()
	if err != nil { // only an empty line
		return nil, false
	}
	for i := range got {
		// A quoted cell that is still open at the end of the line has eaten it.
		unclosed = unclosed || strings.Contains(got[i], "\n")
		got[i] = strings.TrimSpace(got[i])
	}
	return got, unclosed
}
