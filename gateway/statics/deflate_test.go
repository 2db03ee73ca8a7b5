package statics

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"
)

func ungzip(t testing.TB, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func usual(b []byte) int {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Len()
}

// Everything comes back, whatever it is, and programs are smaller than usually.
func TestSqueezer(t *testing.T) {
	random := make([]byte, 3*blockSize+17)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.IntN(256))
	}
	s := newSqueezer()
	for name, b := range map[string][]byte{
		"empty": {}, "one byte": {7}, "two": {1, 2}, "three": {1, 1, 1}, "random": random,
		"the same": bytes.Repeat([]byte{0}, 5*blockSize+1), "a block": script(blockSize, 1), "more than a block": script(blockSize+1, 1),
		"far back": append(append(bytes.Clone(random[:window]), random[:5000]...), random[:window]...), "a long one": script(1<<20, 9),
	} {
		out := s.gzip(nil, b, func() bool { return false })
		if len(b) > 0 && !bytes.Equal(ungzip(t, out), b) {
			t.Errorf("%s comes back as something else", name)
		}
		if most := len(b) + len(b)/100 + 100; len(out) > most {
			t.Errorf("%s: %d bytes have become %d", name, len(b), len(out))
		}
	}
	if b := script(1<<20, 9); len(s.gzip(nil, b, func() bool { return false })) >= usual(b) {
		t.Error("a program is not smaller than usually")
	}
	n := 0
	if out := s.gzip(nil, script(10*blockSize, 1), func() bool { n++; return n > 2 }); out != nil || n != 3 {
		t.Errorf("it went on %d blocks after it was to stop", n)
	}
}

func FuzzSqueezer(f *testing.F) {
	f.Add([]byte("function f(a){return a+a}function g(a){return a+a}"))
	f.Add(bytes.Repeat([]byte("ab"), 300))
	s := newSqueezer()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if !bytes.Equal(ungzip(t, s.gzip(nil, b, func() bool { return false })), b) {
			t.Error("it comes back as something else")
		}
	})
}

func BenchmarkSqueezer(b *testing.B) {
	text, s := script(1<<20, 9), newSqueezer()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		n := len(s.gzip(nil, text, func() bool { return false }))
		b.ReportMetric(float64(n)/float64(usual(text)), "of-usual")
	}
}
