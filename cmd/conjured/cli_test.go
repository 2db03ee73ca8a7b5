package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"conjured": main, "configurable-http-proxy": main})
}

// TestCommands runs the scripts of testdata/script against the real main.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("SETTINGS", e.WorkDir+"/conjured.yaml")
			return os.Setenv("NO_COLOR", "1")
		},
	})
}
