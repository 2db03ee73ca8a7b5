package chp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keys are a certificate for localhost that is its own authority.
type keys struct {
	key, cert string
	client    *http.Client // trusts it
	pool      *x509.CertPool
}

func newKeys(t testing.TB) keys {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k := keys{key: filepath.Join(dir, "key.pem"), cert: filepath.Join(dir, "cert.pem"), pool: x509.NewCertPool()}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{k.key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), k.cert: cert} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.pool.AppendCertsFromPEM(cert)
	k.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: k.pool}}}
	return k
}

// known is a client that shows the certificate itself.
func (k keys) known(t testing.TB) *http.Client {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: k.pool, Certificates: []tls.Certificate{pair}}}}
}

// A key as openssl 3 encrypts it (openssl genpkey -algorithm EC -pkeyopt
// ec_paramgen_curve:P-256 -aes256 -pass pass:secret) opens with its passphrase only.
func TestOpened(t *testing.T) {
	for _, name := range []string{"aes256.pem", "aes128-sha1.pem"} {
		b, err := os.ReadFile("testdata/keys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := opened(b, "secret")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		block, _ := pem.Decode(plain)
		if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := opened(b, ""); err == nil || !strings.Contains(err.Error(), "is not set") {
			t.Errorf("%s without a passphrase: %v", name, err)
		}
		if plain, err := opened(b, "wrong"); err == nil {
			block, _ := pem.Decode(plain)
			if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				t.Errorf("%s opens with a wrong passphrase", name)
			}
		}
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "DES-EDE3-CBC,00"}})
	if _, err := opened(old, "secret"); err == nil || !strings.Contains(err.Error(), "openssl pkcs8") {
		t.Errorf("an old key: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	b, err := os.ReadFile("testdata/keys/aes256.pem")
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(b)
	f.Add(block.Bytes)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _ = decrypt(der, "secret") // must not panic
	})
}

func TestRestrict(t *testing.T) {
	for _, c := range []struct {
		o       options
		version uint16
		suites  int
		ignored string
		bad     bool
	}{
		{options{}, 0, 0, "", false},
		{options{protocol: "TLSv1_3", rc4: true, dhparam: "x"}, tls.VersionTLS13, 0, "--ssl-allow-rc4 --ssl-dhparam", false},
		{options{ciphers: "ECDHE-RSA-AES128-GCM-SHA256:!RC4:AES128-SHA"}, 0, 1, "--ssl-ciphers AES128-SHA", false},
		{options{ciphers: "HIGH:!aNULL"}, 0, 6, "", false},
		{options{ciphers: "RC4-SHA"}, 0, 0, "", true},
		{options{protocol: "SSLv3"}, 0, 0, "", true},
	} {
		config := &tls.Config{}
		ignored, err := c.o.restrict(nil, config)
		if (err != nil) != c.bad {
			t.Errorf("%+v: %v", c.o, err)
		}
		if config.MaxVersion != c.version || len(config.CipherSuites) != c.suites || !c.bad && strings.Join(ignored, " ") != c.ignored {
			t.Errorf("%q %q: version %x, %d suites, ignored %q", c.o.protocol, c.o.ciphers, config.MaxVersion, len(config.CipherSuites), ignored)
		}
	}
}
