package chp

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

// Version is the version of configurable-http-proxy whose interface this is.
const Version = "5.3.0+conjured"

func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("configurable-http-proxy", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SortFlags = false
	f.BoolVarP(&o.version, "version", "V", false, "print the version")
	o.public.flags(f, "", "the proxy", "", "8000")
	o.publicTLS.flags(f, "", "the proxy's own HTTPS")
	f.StringVar(&o.protocol, "ssl-protocol", "", "the one TLS version to speak: `TLSv1_2` or TLSv1_3")
	f.StringVar(&o.ciphers, "ssl-ciphers", "", "`list` of OpenSSL names, separated by colons, for TLS 1.2")
	f.BoolVar(&o.rc4, "ssl-allow-rc4", false, "accepted and ignored: RC4 is broken")
	f.StringVar(&o.dhparam, "ssl-dhparam", "", "`file`, accepted and ignored: no DHE is spoken, only ECDHE")
	o.api.flags(f, "api-", "the REST API", "localhost", "--port plus 1")
	o.apiTLS.flags(f, "api-", "the REST API")
	o.clientTLS.flags(f, "client-", "requests to https targets")
	o.proxyFlags(f)
	o.metrics.flags(f, "metrics-", "the metrics", "", "no metrics")
	f.StringVar(&o.logLevel, "log-level", "info", "`level`: debug, info, warn or error")
	f.Var(&o.timeout, "timeout", "close a browser's connection after `ms` without a byte")
	f.Var(&o.firstByte, "proxy-timeout", "give a target up after `ms` without an answer")
	f.StringVar(&o.storage, "storage-backend", "", "a `module` of Node.js: not possible here, refused")
	f.Var(&o.keepAlive, "keep-alive-timeout", "close an idle connection of a browser's after `ms` (120000)")
	f.BoolVarP(&o.help, "help", "h", false, "print this")
	return f
}

func (p *place) flags(f *pflag.FlagSet, prefix, what, ip, port string) {
	f.StringVar(&p.ip, prefix+"ip", ip, "`address` that "+what+" listens on")
	f.Var(&p.port, prefix+"port", "port of "+what+" ("+port+")")
	f.StringVar(&p.socket, prefix+"socket", "", "`path` of a unix socket for "+what+", in place of address and port")
}

func (o *tlsOptions) flags(f *pflag.FlagSet, prefix, what string) {
	f.StringVar(&o.key, prefix+"ssl-key", "", "`file` with the key for "+what)
	f.StringVar(&o.cert, prefix+"ssl-cert", "", "`file` with the certificate for "+what)
	f.StringVar(&o.ca, prefix+"ssl-ca", "", "`file` with the authorities for "+what)
	f.BoolVar(&o.request, prefix+"ssl-request-cert", false, "ask the other side for a certificate of these authorities")
	f.BoolVar(&o.reject, prefix+"ssl-reject-unauthorized", false, "turn away who has none; always done when one is asked for")
}

func (o *options) proxyFlags(f *pflag.FlagSet) {
	f.StringVar(&o.defaultTarget, "default-target", "", "`URL` where everything without a route goes")
	f.StringVar(&o.errorTarget, "error-target", "", "`URL` to ask for error pages: URL/404?url=...")
	f.StringVar(&o.errorPath, "error-path", "", "`directory` with error pages: 404.html, 503.html, error.html")
	f.StringVar(&o.redirectPort, "redirect-port", "", "`port` where HTTP is sent on to HTTPS")
	f.StringVar(&o.redirectTo, "redirect-to", "", "`port` that --redirect-port sends to (--port)")
	f.StringVar(&o.pidFile, "pid-file", "", "`file` to write the process id to")
	f.BoolVar(&o.noForward, "no-x-forward", false, "add no X-Forwarded-* headers")
	f.BoolVar(&o.noPrepend, "no-prepend-path", false, "leave the target's own path out")
	f.BoolVar(&o.noInclude, "no-include-prefix", false, "leave the route's prefix out")
	f.BoolVar(&o.autoRewrite, "auto-rewrite", false, "put the proxy's host into Location headers that name the target's")
	f.BoolVar(&o.changeOrigin, "change-origin", false, "send the target its own name as Host")
	f.StringVar(&o.protocolRewrite, "protocol-rewrite", "", "`scheme` to put into Location headers that name the target's host")
	f.Var(&o.custom, "custom-header", "add \"name: value\" to requests; may be repeated")
	f.BoolVar(&o.insecure, "insecure", false, "do not check the certificates of targets")
	f.BoolVar(&o.hostRouting, "host-routing", false, "a route's first segment is a host name")
}

func usage(out io.Writer, f *pflag.FlagSet) {
	fmt.Fprintf(out, "Usage: configurable-http-proxy [options]\n\nOptions:\n%s", f.FlagUsagesWrapped(100))
}
