package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/conjuring/conjured/environments/secret"
)

// vault is the file of secrets that were taken out of addresses: NAME=VALUE lines.
type vault struct {
	byName  map[string]string
	changed bool
}

// Credentials gives the secrets that stand for ${NAME} in the files of the history.
func (r *Repository) Credentials(ctx context.Context) (map[string]string, error) {
	var v *vault
	err := r.alone(ctx, func() (err error) { v, err = r.credentials(); return err })
	if err != nil {
		return nil, err
	}
	return v.byName, nil
}

func (r *Repository) credentials() (*vault, error) {
	v := &vault{byName: map[string]string{}}
	data, err := os.ReadFile(r.c.Dir + ".credentials")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read credentials: %w", err)
	}
	for l := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(l, "\n"), "="); ok {
			v.byName[name] = value
		}
	}
	return v, nil
}

func (r *Repository) saveCredentials(v *vault) error {
	if !v.changed {
		return nil
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v.byName)) {
		fmt.Fprintf(&b, "%s=%s\n", name, v.byName[name])
	}
	if err := renameio.WriteFile(r.c.Dir+".credentials", []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("cannot keep credentials: %w", err)
	}
	return nil
}

var notInName = regexp.MustCompile(`[^A-Z0-9]+`)

// name gives the name of a secret of a host, the same one each time. It says nothing
// about the secret: not even a hash, by which it could be guessed.
func (v *vault) name(host, value string) string {
	stem := "CONJURED_" + strings.Trim(notInName.ReplaceAllString(strings.ToUpper(host), "_"), "_")
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s_%d", stem, i)
		was, taken := v.byName[name]
		if taken && was != value {
			continue
		}
		if !taken {
			v.byName[name], v.changed = value, true
		}
		return name
	}
}

// ordered sorts secrets by their place, those of an address before others.
func ordered(ss []secret.Found) []secret.Found {
	slices.SortStableFunc(ss, func(a, b secret.Found) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Start, b.Start)) })
	return ss
}
