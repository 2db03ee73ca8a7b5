// Package variables says which environment variables packages, and who asks for them,
// may set in the kernels of a class.
//
// The list of what may not be set keeps the class working, and no student from
// anything: whoever can have a variable set can have a package run code. It names what
// would keep kernels and servers from starting, have them run other packages than those
// that are locked, or belongs to each student.
package variables

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/conjuring/conjured/environments/secret"
)

// Limits, in bytes and variables. The whole is read by a shell each time a kernel starts.
const (
	MaxName  = 128
	MaxValue = 4096
	MaxCount = 256
	MaxTotal = 32 << 10 // of all lines NAME=value
)

// Variable is one line of the teacher's files that sets a variable.
type Variable struct {
	Name  string
	Value string // as the program sees it
	File  string // relative to the teacher's folder
	Line  int    // 1-based
}

// Assignment is NAME=value.
func (v Variable) Assignment() string { return v.Name + "=" + v.Value }

// nameForm is a name as POSIX has it for the environment of programs,
// https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html.
var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Refused says why a variable cannot be set, as the end of a sentence that begins with
// it; "" when it can be.
func Refused(name, value string) string {
	switch {
	case !nameForm.MatchString(name) || len(name) > MaxName:
		return "is no name of a variable"
	case reserved(name):
		return "is set by the class itself, or decides which files programs load"
	case len(value) > MaxValue:
		return "has a value that is longer than 4096 letters"
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return "has a value that is not one line of text"
	}
	return ""
}

// Secret says what a variable looks like that nobody should write into a file which is
// shared, such as "a password"; "" for any other.
func Secret(name, value string) string {
	if found := secret.Find(name + "=" + value); len(found) > 0 {
		return found[0].What
	}
	return ""
}

// Ours tells the variables by which conda and shells keep books about themselves: they
// mean nothing to a program, and are left out without a word.
func Ours(name string) bool {
	return slices.Contains([]string{"_", "PWD", "OLDPWD", "SHLVL", "PS1", "PS2", "PROMPT", "CONDA_SHLVL", "CONDA_PROMPT_MODIFIER"}, name) ||
		begins(name, "_CONDA_", "__CONDA_", "_CE_", "CONDA_BACKUP_", "BASH_FUNC_")
}

// reserved tells the names that only the class sets. Others of Python's change what is
// printed, how numbers are hashed and the like.
func reserved(name string) bool {
	switch {
	case begins(name, "PYTHON"):
		return !slices.Contains([]string{
			"PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONINTMAXSTRDIGITS", "PYTHONIOENCODING",
			"PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONWARNINGS", "PYTHON_GIL",
		}, name)
	case begins(name, "LD_", "BASH", "JUPYTER", "JPY_", "CONJURED", "conjured_", "CONDA_BACKUP_", "_CONDA_", "__CONDA_"):
		return true
	}
	return slices.Contains([]string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "SHELLOPTS", "IFS", "ENV", "PWD", "OLDPWD", "SHLVL", "UID", "EUID", "PPID", "GROUPS", "HOSTNAME",
		"OPTIND", "OPTARG", "OPTERR", "PS1", "PS2", "PS4", "PROMPT_COMMAND", "_", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH",
		"VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL", "CONDA_EXE", "IPYTHONDIR", "XDG_RUNTIME_DIR", "MEM_LIMIT", "CPU_LIMIT",
	}, name)
}

func begins(name string, with ...string) bool {
	return slices.ContainsFunc(with, func(w string) bool { return strings.HasPrefix(name, w) })
}
