package chp

import (
	"bytes"
	"testing"
)

// What the command line answers before anything listens.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // in the error; "" for none
	}{
		{[]string{"--port", "8000", "--api-port=9"}, ""},
		{[]string{"--ip", "", "--default-target=http://h"}, ""},
		{[]string{"--bogus"}, "error: unknown option '--bogus'"},
		{[]string{"--prot", "1"}, "error: unknown option '--prot'\n(Did you mean --port?)"},
		{[]string{"-x"}, "error: unknown option '-x'"},
		{[]string{"--port"}, "error: option '--port <value>' argument missing"},
		{[]string{"--port", "x"}, "it must be a number from 0 to 65535"},
		{[]string{"extra", "more"}, "error: too many arguments. Expected 0 arguments but got 2: extra, more."},
		{[]string{"--port", "1", "--socket", "x"}, "error: option '--socket <path>' cannot be used with option '--port"},
		{[]string{"--api-ip", "1", "--api-socket", "x"}, "error: option '--api-socket <path>' cannot be used with option '--api-ip"},
		{[]string{"--api-socket", "x"}, ""},
		{[]string{"--custom-header", "invalid"}, "A colon was expected in custom header: invalid"},
		{[]string{"--custom-header", " :x"}, "A colon was expected in custom header: :x"},
		{[]string{"--custom-header", "k1: v1", "--custom-header", "k1:v2"}, ""},
		{[]string{"--redirect-port", "80"}, "HTTPS redirection specified but certificates not provided."},
		{[]string{"--error-target", "http://h", "--error-path", "/x"}, "Cannot specify both error-target and error-path. Pick one."},
		{[]string{"--storage-backend", "redis"}, "--storage-backend names a module of Node.js"},
	} {
		_, err := parse(c.args, &bytes.Buffer{})
		switch {
		case c.want == "" && err != nil, c.want != "" && err == nil:
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		case c.want != "" && !bytes.Contains([]byte(err.Error()), []byte(c.want)):
			t.Errorf("%q: %q, want %q", c.args, err, c.want)
		}
	}
}

func TestParse_defaults(t *testing.T) {
	for _, c := range []struct {
		args        []string
		public, api string
	}{
		{nil, ":8000", "localhost:8001"},
		{[]string{"--ip", "*", "--port", "9000"}, ":9000", "localhost:9001"},
		{[]string{"--ip", "::1", "--api-ip", "", "--api-port", "7"}, "[::1]:8000", ":7"},
		{[]string{"--socket", "/s", "--api-socket", "/a"}, "/s", "/a"},
		{[]string{"--socket", "/s"}, "/s", "localhost:8001"},
	} {
		o, err := parse(c.args, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		_, public := o.public.address()
		_, api := o.api.address()
		if public != c.public || api != c.api {
			t.Errorf("%q: %s and %s, want %s and %s", c.args, public, api, c.public, c.api)
		}
	}
}

func TestParse_help(t *testing.T) {
	for arg, want := range map[string]string{"-h": "Usage: configurable-http-proxy", "--help": "--error-target URL", "-V": "5.3.0", "--version": "5.3.0"} {
		var out bytes.Buffer
		if _, err := parse([]string{arg}, &out); err != errShown || !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("%s: %v, %q", arg, err, out.String())
		}
	}
}
