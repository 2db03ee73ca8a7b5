package custom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Fingerprints is one hex sha256 for each part of a folder. Equal fingerprints
// mean that the part needs no work.
type Fingerprints struct {
	Roster      string `json:"roster"`      // users.csv
	Content     string `json:"content"`     // home_default/ and shared/
	Image       string `json:"image"`       // base.Dockerfile, apt.txt, build arguments of the override
	Environment string `json:"environment"` // requirements.txt, what it names, local wheels
	Kernels     string `json:"kernels"`     // environment*.yml
	Code        string `json:"code"`        // srv/, the override, .env, the class's name
}

// Setup is the id of the whole: hex sha256 over all parts.
func (p Fingerprints) Setup() string {
	h := sha256.New()
	fmt.Fprintf(h, "conjured setup 1\n%s\n%s\n%s\n%s\n%s\n%s\n", p.Roster, p.Content, p.Image, p.Environment, p.Kernels, p.Code)
	return hex.EncodeToString(h.Sum(nil))
}
