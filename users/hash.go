package users

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// cost is what one argon2id run takes. Memory is in KiB.
type cost struct{ memory, time uint32 }

// full is OWASP's first choice for argon2id: 30 to 60 ms here. brief takes about
// 1 ms: it makes a whole roster durable before Apply returns, and is replaced by
// full within seconds.
func full() cost  { return cost{19 << 10, 2} }
func brief() cost { return cost{1 << 10, 1} }

// hashesAtOnce is how many argon2id runs there are together: each takes 19 MiB and a
// core.
const hashesAtOnce = 2

// hashes lets two argon2id runs happen at once: 30 logins together would want
// 570 MB otherwise.
type hashes struct{ slots chan struct{} }

func (h hashes) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h hashes) leave() { <-h.slots }

// make is the PHC string of a password under a new salt. ctx ends the wait for a
// slot only.
func (h hashes) make(ctx context.Context, password string, c cost) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, 16)
	rand.Read(salt) // never fails since Go 1.24
	key := argon2.IDKey(typed(password), salt, c.time, c.memory, 1, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, c.memory, c.time, b64(salt), b64(key)), nil
}

// matches compares a password with a PHC string. What is not a PHC string costs
// the same time and never matches: unknown names must not answer sooner.
func (h hashes) matches(ctx context.Context, encoded, password string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	c, salt, want, err := parsePHC(encoded)
	known := err == nil
	if !known {
		c, salt, want = full(), make([]byte, 16), make([]byte, 32)
	}
	got := argon2.IDKey(typed(password), salt, c.time, c.memory, 1, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// typed is a password as bytes: keyboards differ in how they compose accents.
func typed(password string) []byte { return norm.NFC.Bytes([]byte(password)) }

// parsePHC reads the string format of the Password Hashing Competition, within
// bounds that a damaged file can't use to eat the machine.
func parsePHC(s string) (c cost, salt, key []byte, err error) {
	f := strings.Split(s, "$")
	var version int
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return c, nil, nil, fmt.Errorf("not an argon2id string")
	}
	if _, err = fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, fmt.Errorf("argon2 version %q is unknown", f[2])
	}
	if _, err = fmt.Sscanf(f[3], "m=%d,t=%d,p=1", &c.memory, &c.time); err != nil {
		return c, nil, nil, fmt.Errorf("argon2 parameters: %w", err)
	}
	if c.memory < 8 || c.memory > 1<<18 || c.time < 1 || c.time > 16 {
		return c, nil, nil, fmt.Errorf("argon2 parameters %q are out of bounds", f[3])
	}
	if salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil {
		return c, nil, nil, fmt.Errorf("argon2 salt: %w", err)
	}
	key, err = base64.RawStdEncoding.DecodeString(f[5])
	if err != nil || len(key) < 16 || len(key) > 64 {
		return c, nil, nil, fmt.Errorf("argon2 key is not 16 to 64 bytes of base64")
	}
	return c, salt, key, nil
}

// weaker tells whether an encoded hash should be made anew at full cost.
func weaker(encoded string) bool {
	c, _, _, err := parsePHC(encoded)
	return err == nil && c != full()
}
