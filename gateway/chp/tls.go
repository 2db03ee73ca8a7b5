package chp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// server is the TLS of the proxy or of the API, nil when it speaks plain HTTP.
// passphrase opens the key; "" for a key that is not encrypted.
func (o tlsOptions) server(passphrase string) (*tls.Config, error) {
	if !o.wanted() {
		return nil, nil
	}
	own, err := o.pair(passphrase)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	if c.ClientCAs, err = o.authorities(); err != nil {
		return nil, err
	}
	if o.request {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// client is the TLS for https targets.
func (o tlsOptions) client(insecure bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	if o.wanted() {
		own, err := o.pair("")
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{own}
	}
	var err error
	c.RootCAs, err = o.authorities()
	return c, err
}

func (o tlsOptions) pair(passphrase string) (tls.Certificate, error) {
	if o.key == "" || o.cert == "" {
		return tls.Certificate{}, errors.New("a key and a certificate belong together, one of them is not given")
	}
	key, err := os.ReadFile(o.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot read the key: %w", err)
	}
	cert, err := os.ReadFile(o.cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot read the certificate: %w", err)
	}
	if key, err = opened(key, passphrase); err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use the key %s: %w", o.key, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cannot use %s with %s: %w", o.cert, o.key, err)
	}
	return pair, nil
}

// authorities are those of --*ssl-ca, nil for the system's.
func (o tlsOptions) authorities() (*x509.CertPool, error) {
	if o.ca == "" {
		return nil, nil
	}
	b, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("cannot use %s: there is no certificate in it", o.ca)
	}
	return pool, nil
}

// opened is a key file whose key is not encrypted any more.
func opened(file []byte, passphrase string) ([]byte, error) {
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return file, nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			der, err := decrypt(block.Bytes, passphrase)
			if err != nil {
				return nil, err
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
		}
		if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errors.New("its encryption is of the old kind, which a thief tries fast: rewrite it with openssl pkcs8 -topk8")
		}
	}
}

// restrict applies --ssl-protocol and --ssl-ciphers, which count for all three sides,
// and returns what of them is without effect.
func (o *options) restrict(configs ...*tls.Config) (ignored []string, err error) {
	versions := map[string]uint16{
		"": 0, "TLS": 0, "SSLv23": 0,
		"TLSv1": tls.VersionTLS10, "TLSv1_1": tls.VersionTLS11, "TLSv1_2": tls.VersionTLS12, "TLSv1_3": tls.VersionTLS13,
	}
	version, known := versions[o.protocol]
	if !known {
		return nil, fmt.Errorf("error: --ssl-protocol %s is not spoken here, only TLSv1 to TLSv1_3", o.protocol)
	}
	suites, ignored := suitesOf(o.ciphers)
	if o.ciphers != "" && len(suites) == 0 {
		return nil, fmt.Errorf("error: no cipher of --ssl-ciphers %s is spoken here", o.ciphers)
	}
	if o.rc4 {
		ignored = append(ignored, "--ssl-allow-rc4")
	}
	if o.dhparam != "" {
		ignored = append(ignored, "--ssl-dhparam")
	}
	for _, c := range configs {
		switch {
		case c == nil:
			continue
		case version != 0:
			c.MinVersion, c.MaxVersion = version, version
		}
		c.CipherSuites = suites
	}
	return ignored, nil
}

// suitesOf reads a list of OpenSSL's cipher names. TLS 1.3 has no list: all its
// suites are good ones. What is excluded (!RC4) or named as a class (HIGH) is not
// among ours anyway, or stands for all of them.
func suitesOf(list string) (suites []uint16, ignored []string) {
	names := map[string]uint16{
		"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	for name := range strings.SplitSeq(list, ":") {
		switch id, ok := names[name]; {
		case ok:
			suites = append(suites, id)
		case name == "HIGH" || name == "DEFAULT":
			for _, s := range names {
				suites = append(suites, s)
			}
		case name != "" && !strings.HasPrefix(name, "!"):
			ignored = append(ignored, "--ssl-ciphers "+name)
		}
	}
	return suites, ignored
}
