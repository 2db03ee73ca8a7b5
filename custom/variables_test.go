package custom

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Variables of an environment file are what conda makes of them; what nobody may set is
// named with its line, and the rest stays.
func TestE5_variables(t *testing.T) {
	text := `channels: [conda-forge]
variables:
  GEO: x y 'z' $HOME
  N: 12
  RATE: 1.50
  YES: true
  EMPTY: ""
  PATH: /x
  LD_PRELOAD: /x.so
  PYTHONPATH: src
  PYTHONHASHSEED: 0
  JUPYTER_PATH: /x
  BASH_ENV: /x
  1st: x
  A-B: x
  LINES: |
    one
    two
  LIST: [a]
  NONE:
  DB_PASSWORD: hunter2hunter2
  DB_URL: postgres://me:hunter2hunter2@db/x
  LONG: ` + strings.Repeat("x", 4097) + "\n"
	f, l := read(t, files{"environment-geo.yml": text}, Options{})
	got := map[string]string{}
	for _, v := range f.Environments()[1].Variables {
		got[v.Name] = v.Value
	}
	wanted := map[string]string{"GEO": "x y 'z' $HOME", "N": "12", "RATE": "1.50", "YES": "True", "EMPTY": "", "PYTHONHASHSEED": "0"}
	if d := cmp.Diff(wanted, got); d != "" {
		t.Error(d)
	}
	for _, line := range []int{8, 9, 10, 12, 13, 14, 15, 16, 19, 20, 23} {
		wantNotice(t, l, sevWarn, "environment-variable-refused", "environment-geo.yml", line)
	}
	wantNotice(t, l, sevWarn, "environment-variable-secret", "environment-geo.yml", 21)
	wantNotice(t, l, sevWarn, "environment-variable-secret", "environment-geo.yml", 22)
	if len(l) != 14 { // and that there is no users.csv
		t.Error(dump(l))
	}
	if s := dump(l); strings.Contains(s, "hunter2") {
		t.Errorf("a password is shown:\n%s", s)
	}
	_, l = read(t, files{"environment.yml": "channels: []\nvariables: x\n", "environment-geo.yml": "channels: []\nvariables:\n"}, Options{})
	wantNotice(t, l, sevWarn, "environment-variables", "environment.yml", 2)
}

// Of two files the later one counts, and a value makes another folder of it.
func TestE6_variablesOfTwoFiles(t *testing.T) {
	of := func(value string) (*Folder, Fingerprints) {
		f, _ := read(t, files{
			"environment-x.yml": "name: geo\nchannels: []\nvariables: {A: one, B: two}\n",
			"environment_z.yml": "name: geo\nchannels: []\nvariables: {B: " + value + "}\n",
		}, Options{})
		return f, f.Fingerprints()
	}
	f, first := of("three")
	wanted := []Variable{{Name: "A", Value: "one", File: "environment-x.yml", Line: 3}, {Name: "B", Value: "three", File: "environment_z.yml", Line: 3}}
	if d := cmp.Diff(wanted, f.Environments()[1].Variables); d != "" {
		t.Error(d)
	}
	if _, second := of("four"); first.Kernels == second.Kernels || first.Environment != second.Environment {
		t.Error("only the kernels are others")
	}
}
