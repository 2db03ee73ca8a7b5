package variables

import (
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for _, name := range []string{
		"PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "JUPYTER_PATH", "JUPYTERHUB_API_TOKEN", "JPY_PARENT_PID",
		"HOME", "USER", "SHELL", "IFS", "ENV", "BASH_ENV", "CONJURED_ENV", "conjured_line", "CONDA_PREFIX", "VIRTUAL_ENV", "GLIBC_TUNABLES", "XDG_RUNTIME_DIR",
		"", "1A", "A-B", "A B", "A=B", "Ä", "A\n", strings.Repeat("A", MaxName+1),
	} {
		if Refused(name, "x") == "" {
			t.Errorf("%q may be set", name)
		}
	}
	for _, name := range []string{"GDAL_DATA", "a", "env", "path", "conjured", "_x", "MPLBACKEND", "PYTHONHASHSEED", "LANG", "TZ", "OMP_NUM_THREADS", "R_LIBS", "LDFLAGS", "ENVIRONMENT", "HOMEPAGE"} {
		if why := Refused(name, "x y \"'$(z)`\\"); why != "" {
			t.Errorf("%s %s", name, why)
		}
	}
	for _, value := range []string{"a\nb", "a\x00", "\x1b[0m", "\xff", "\x7f", strings.Repeat("x", MaxValue+1)} {
		if Refused("A", value) == "" {
			t.Errorf("%.20q may be a value", value)
		}
	}
}

func TestSecret(t *testing.T) {
	for _, v := range [][2]string{{"DB_PASSWORD", "hunter2hunter2"}, {"API_KEY", "0123456789ab"}, {"X", "ghp_" + strings.Repeat("a", 36)}, {"URL", "https://me:word@host/x"}, {"KEY", "-----BEGIN RSA PRIVATE KEY"}} {
		if what := Secret(v[0], v[1]); what == "" || strings.Contains(what, v[1]) {
			t.Errorf("%v is %q", v, what)
		}
	}
	for _, v := range [][2]string{{"GDAL_DATA", "/opt/x"}, {"API_KEY", "${API_KEY}"}, {"URL", "https://host/x?key"}, {"PASSWORD", ""}} {
		if what := Secret(v[0], v[1]); what != "" {
			t.Errorf("%v is %q", v, what)
		}
	}
}

func TestOurs(t *testing.T) {
	for _, name := range []string{"_", "PWD", "SHLVL", "_CONDA_SET_GDAL_DATA", "CONDA_BACKUP_CC", "BASH_FUNC_x%%"} {
		if !Ours(name) {
			t.Errorf("%s is of use", name)
		}
	}
	if Ours("GDAL_DATA") || Ours("CONDA_BUILD_SYSROOT") {
		t.Error("too much is left out")
	}
}
