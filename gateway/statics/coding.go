package statics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding of RFC 9110 §8.4.1.
type coding int

// The codings, best first. A browser offers brotli and zstd only over HTTPS and to its
// own machine; over a classroom's plain Wi-Fi it is gzip.
const (
	identity coding = iota
	brotliCoding
	zstdCoding
	gzipCoding
)

var codings = [...]coding{gzipCoding, brotliCoding, zstdCoding} // in the order they are made

func (c coding) String() string { return [...]string{"identity", "br", "zstd", "gzip"}[c] }

// allCodings has the bit of every coding.
const allCodings = 1<<brotliCoding | 1<<zstdCoding | 1<<gzipCoding

// choose gives the coding that an Accept-Encoding asks for, of those in ready (bits
// 1<<coding): the one it weighs most, of equals the smallest.
func choose(header []string, ready int32) coding {
	weights := weigh(header)
	best, top := identity, 0
	for _, c := range []coding{brotliCoding, zstdCoding, gzipCoding} {
		if w := weights[c]; w > top && w >= weights[identity] && ready&(1<<c) != 0 {
			best, top = c, w
		}
	}
	return best
}

// weigh reads the weights of the codings, in thousandths; 0 is refused. Identity is
// taken unless it is refused, the others only when they are named. (RFC 9110 §12.5.3)
func weigh(header []string) map[coding]int {
	named := map[string]int{}
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			named[strings.ToLower(strings.TrimSpace(name))] = weight(params)
		}
	}
	out := map[coding]int{identity: 1}
	for c := identity; c <= gzipCoding; c++ {
		if w, ok := named[c.String()]; ok {
			out[c] = w
		} else if w, ok := named["*"]; ok {
			out[c] = w
		}
	}
	if w, ok := named["x-gzip"]; ok && out[gzipCoding] == 0 {
		out[gzipCoding] = w
	}
	return out
}

// weight is the q of parameters, 1000 when there is none, 0 when it cannot be read.
func weight(params string) int {
	for p := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return int(q * 1000)
		}
	}
	return 1000
}

// presser compresses one file after another in one coding, holding its memory: 10 to
// 50 MB.
type presser struct {
	coding coding
	zstd   *zstd.Encoder
	back   *zstd.Decoder
	br     *brotli.Writer
	gz     *squeezer
	out    bytes.Buffer
}

func newPresser(k coding) (p *presser, err error) {
	p = &presser{coding: k}
	switch k {
	case brotliCoding:
		p.br = brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: 9, LGWin: 22})
	case zstdCoding:
		p.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
		if err == nil {
			p.back, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*largestFile))
		}
	default:
		p.gz = newSqueezer()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot compress: %w", err)
	}
	return p, nil
}

func (p *presser) close() {
	if p.coding == zstdCoding {
		_ = p.zstd.Close()
		p.back.Close()
	}
}

// press gives b in the coding; the result is good until the next call. It looks at ctx
// every few milliseconds of work.
func (p *presser) press(ctx context.Context, b []byte) ([]byte, error) {
	p.out.Reset()
	var w io.WriteCloser
	switch p.coding {
	case zstdCoding:
		p.zstd.ResetContentSize(&p.out, int64(len(b)))
		w = p.zstd
	case brotliCoding:
		p.br.Reset(&p.out)
		w = p.br
	default:
		out := p.gz.gzip(p.out.AvailableBuffer(), b, func() bool { return ctx.Err() != nil })
		return out, ctx.Err()
	}
	for chunk := range slices.Chunk(b, 32<<10) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := w.Write(chunk); err != nil {
			return nil, fmt.Errorf("cannot compress: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot compress: %w", err)
	}
	return p.out.Bytes(), nil
}

// unpress undoes the coding; what is larger than size is an error.
func (p *presser) unpress(b []byte, size int64) ([]byte, error) {
	var r io.Reader
	var err error
	switch p.coding {
	case zstdCoding:
		err = p.back.Reset(bytes.NewReader(b))
		r = p.back
	case brotliCoding:
		r = brotli.NewReader(bytes.NewReader(b))
	default:
		r, err = gzip.NewReader(bytes.NewReader(b))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	out := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := out.ReadFrom(io.LimitReader(r, size+1)); err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	return out.Bytes(), nil
}
