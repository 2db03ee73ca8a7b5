package history

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// File is one file of a tree. Name is its path with slashes, such as
// requirements.txt or binder/apt.txt; Data is text.
type File struct {
	Name string
	Data []byte
}

// anyRune is a character that a teacher's file may have in its name.
const anyRune = `[^/\\\x00-\x1f\x7f]`

var (
	envForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	labelForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.]{0,31}$`)
	dirForm   = regexp.MustCompile(`^\.?[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)
	fileForm  = regexp.MustCompile(`^(` + strings.Join([]string{
		// What people ask for.
		`env\.spec`, `environment` + anyRune + `{0,100}\.ya?ml`, `(grove-)?requirements` + anyRune + `{0,100}\.txt`, `constraints\.txt`,
		`apt\.txt`, `runtime\.txt`, `pyproject\.toml`, `pylock(\.[A-Za-z0-9_-]{1,64})?\.toml`, anyRune + `{1,100}\.lock`,
		`conda-lock\.ya?ml`, `Pipfile`, `postBuild`, `start`, `install\.R`, `DESCRIPTION`, `(Julia)?(Project|Manifest)\.toml`,
		// What they get.
		`env\.manifest`, `apt\.manifest`, `generation\.json`, `manifest\.txt`,
	}, "|") + `)$`)
)

const labelDir = "labels/"

// Allowed tells whether a file of this path may enter the history. Accounts, homes,
// settings and keys have no name on the list, whoever asks.
func Allowed(name string) bool {
	if rest, ok := strings.CutPrefix(name, labelDir); ok {
		label, ok := strings.CutSuffix(rest, ".txt")
		return ok && labelForm.MatchString(label)
	}
	dirs := strings.Split(name, "/")
	for _, d := range dirs[:len(dirs)-1] {
		if !dirForm.MatchString(d) || strings.EqualFold(d, ".git") || d == "labels" || strings.Contains(d, "..") {
			return false
		}
	}
	return len(dirs) <= maxDepth && utf8.ValidString(name) && fileForm.MatchString(path.Base(name))
}

// checkEnv is nil when env can be a branch. "manifest" cannot: it is the directory of
// the other branches.
func checkEnv(env string) error {
	if !envForm.MatchString(env) || env == "manifest" {
		return fmt.Errorf("%q cannot be an environment's name in the history", env)
	}
	return nil
}

// branch and manifestBranch are the full names of an environment's two branches.
func branch(env string) string         { return "refs/heads/" + env }
func manifestBranch(env string) string { return "refs/heads/manifest/" + env }
