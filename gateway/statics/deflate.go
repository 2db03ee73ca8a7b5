package statics

import (
	"math"
	"math/bits"

	"github.com/andybalholm/brotli/flate"
	"github.com/andybalholm/brotli/matchfinder"
)

// The limits of DEFLATE (RFC 1951) and of the search.
const (
	window       = 32 << 10
	shortest     = 3
	longest      = 258
	blockSize    = 64 << 10 // bytes that share one code
	chainLength  = 100      // earlier places that are compared
	rounds       = 4        // of parsing and pricing one block
	hashBits     = 15
	literalCodes = 286
	distCodes    = 30
)

// squeezer compresses Lab's files to gzip 3 % better than the usual best level: it
// tries all ways to write a block and takes the cheapest, where the price of each
// symbol is what the way before had made of it. It takes five times as long, which is
// spent once for everybody; over plain HTTP browsers take nothing better than gzip.
type squeezer struct {
	head    []int32 // newest place of each hash, -1 when none
	before  []int32 // the place before with the same hash, by place modulo window
	choices []choice
	firsts  []int32 // index of each place's first choice, and one more for the end
	cost    []float32
	step    []choice // how each place is reached most cheaply
	matches []matchfinder.Match
	prices  prices
}

// choice is a piece of the block that was there before: up to length bytes, distance
// bytes back.
type choice struct{ length, distance int32 }

// prices are in bits.
type prices struct {
	symbol [literalCodes]float32 // literals, the end of the block, and classes of lengths
	length [longest + 1]float32  // class and extra bits
	dist   [distCodes]float32    // class and extra bits
}

func newSqueezer() *squeezer {
	return &squeezer{
		head: make([]int32, 1<<hashBits), before: make([]int32, window),
		firsts: make([]int32, blockSize+1), cost: make([]float32, blockSize+1), step: make([]choice, blockSize+1),
	}
}

// gzip appends b, compressed, to dst. It gives nil when stop says so.
func (s *squeezer) gzip(dst, b []byte, stop func() bool) []byte {
	for i := range s.head {
		s.head[i] = -1
	}
	enc := flate.NewGZIPEncoder()
	for at := 0; at < len(b); at += blockSize {
		if stop() {
			return nil
		}
		end := min(len(b), at+blockSize)
		s.search(b, at, end)
		dst = enc.Encode(dst, b[at:end], s.parse(b[at:end]), end == len(b))
	}
	return dst
}

func hash3(b []byte) uint32 {
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16) * 0x9E3779B1 >> (32 - hashBits)
}

// search notes for each place of a block what of it was there before: for each length
// the least distance.
func (s *squeezer) search(b []byte, at, end int) {
	s.choices = s.choices[:0]
	for i := at; i < end; i++ {
		s.firsts[i-at] = int32(len(s.choices))
		if i+shortest > len(b) {
			continue
		}
		h := hash3(b[i:])
		most, found := min(longest, end-i), shortest-1
		for p, n := s.head[h], 0; p >= 0 && i-int(p) <= window && n < chainLength && found < most; p, n = s.before[p%window], n+1 {
			if b[int(p)+found] != b[i+found] {
				continue
			}
			if l := common(b[p:], b[i:], most); l > found {
				found = l
				s.choices = append(s.choices, choice{int32(l), int32(i) - p})
			}
		}
		s.before[i%window], s.head[h] = s.head[h], int32(i)
	}
	s.firsts[end-at] = int32(len(s.choices))
}

// common is how many bytes a and b begin with alike, at most n.
func common(a, b []byte, n int) int {
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// parse finds the cheapest way to write a block that was searched.
func (s *squeezer) parse(block []byte) []matchfinder.Match {
	s.prices.guess()
	best := float32(math.MaxFloat32)
	var out []matchfinder.Match
	for range rounds {
		s.cheapest(block)
		m, price := s.walk(block)
		if price >= best {
			break
		}
		best = price
		out = append(out[:0], m...)
	}
	return out
}

// cheapest fills cost and step.
func (s *squeezer) cheapest(block []byte) {
	for i := range block {
		s.cost[i+1] = math.MaxFloat32
	}
	for i, c := range block {
		here := s.cost[i]
		if p := here + s.prices.symbol[c]; p < s.cost[i+1] {
			s.cost[i+1], s.step[i+1] = p, choice{1, 0}
		}
		l := int32(shortest)
		for _, m := range s.choices[s.firsts[i]:s.firsts[i+1]] {
			base := here + s.prices.dist[distClass(m.distance)]
			for ; l <= m.length; l++ {
				if p := base + s.prices.length[l]; p < s.cost[i+int(l)] {
					s.cost[i+int(l)], s.step[i+int(l)] = p, choice{l, m.distance}
				}
			}
		}
	}
}

// walk gives the steps of the cheapest way in order, what they cost when each symbol
// has the length that its number calls for, and sets the prices to that.
func (s *squeezer) walk(block []byte) ([]matchfinder.Match, float32) {
	n := len(block)
	back := s.choices[len(s.choices):]
	for i := n; i > 0; i -= int(s.step[i].length) {
		back = append(back, s.step[i])
	}
	var symbols [literalCodes]int
	var dists [distCodes]int
	symbols[256] = 1
	s.matches = s.matches[:0]
	var extra, plain, at int
	for k := len(back) - 1; k >= 0; k-- {
		c := back[k]
		if c.distance == 0 {
			symbols[block[at]]++
			plain++
		} else {
			class, bits := lengthClass(int(c.length))
			symbols[class]++
			d := distClass(c.distance)
			dists[d]++
			extra += bits + distBits(d)
			s.matches = append(s.matches, matchfinder.Match{Unmatched: plain, Length: int(c.length), Distance: int(c.distance)})
			plain = 0
		}
		at += int(c.length)
	}
	if plain > 0 {
		s.matches = append(s.matches, matchfinder.Match{Unmatched: plain})
	}
	total := float32(extra) + s.prices.set(symbols, dists)
	return s.matches, total
}

// guess sets prices that suit a program before anything is known of it.
func (p *prices) guess() {
	for i := range p.symbol {
		p.symbol[i] = 7
	}
	for d := range p.dist {
		p.dist[d] = 4.5 + float32(distBits(d))
	}
	p.lengths()
}

// set makes prices of how often each symbol was written, and gives what all of them
// cost together.
func (p *prices) set(symbols [literalCodes]int, dists [distCodes]int) float32 {
	total := entropy(symbols[:], p.symbol[:]) + entropy(dists[:], p.dist[:])
	for d := range p.dist {
		p.dist[d] += float32(distBits(d))
	}
	p.lengths()
	return total
}

func (p *prices) lengths() {
	for l := shortest; l <= longest; l++ {
		class, bits := lengthClass(l)
		p.length[l] = p.symbol[class] + float32(bits)
	}
}

// entropy prices symbols by how often they come: those that never do as if they came
// once. It gives the sum for those that came.
func entropy(counts []int, price []float32) (total float32) {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	all := math.Log2(float64(max(sum, 1)))
	for i, n := range counts {
		price[i] = float32(min(15, max(1, all-math.Log2(float64(max(n, 1))))))
		total += float32(n) * price[i]
	}
	return total
}

// lengthClass is the symbol for a length, and how many extra bits follow it.
func lengthClass(l int) (class, extra int) {
	switch {
	case l == longest:
		return 285, 0
	case l < 11:
		return 254 + l, 0
	}
	extra = bits.Len(uint(l-shortest)) - 3
	return 257 + 4*extra + (l-shortest)>>extra, extra
}

// distClass is the symbol for a distance.
func distClass(distance int32) int {
	d := uint(distance - 1)
	if d < 4 {
		return int(d)
	}
	extra := bits.Len(d) - 2
	return 2*extra + int(d>>extra)
}

// distBits is how many extra bits follow a class of distances.
func distBits(class int) int { return max(0, class/2-1) }
