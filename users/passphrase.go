package users

import (
	"crypto/rand"
	_ "embed" // words.txt
	"math/big"
	"strings"
)

//go:embed words.txt
var wordList string

// Passphrase makes four short words joined by hyphens, chosen by the system's
// random source out of 1024 or more: 40 bits and up, far more than the throttled
// login form lets anybody try. A ten-year-old can read and type it.
func Passphrase() string {
	words := strings.Fields(wordList)
	var out []string
	for range 4 {
		out = append(out, words[below(len(words))])
	}
	return strings.Join(out, "-")
}

// below is a random number in [0, n), every one equally likely.
func below(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // the system's random source does not fail on Linux
	}
	return int(i.Int64())
}
