package chp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// encryptedKey is EncryptedPrivateKeyInfo of RFC 5958 §3.
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 and pbkdf2Params are of RFC 8018, appendix A.
type pbes2 struct {
	Derivation, Encryption pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

const maxIterations = 10_000_000 // more is a file that wants to keep us busy

var errKey = errors.New("it is encrypted in a way that is not known here: rewrite it with openssl pkcs8 -topk8 -v2 aes256")

// decrypt opens an encrypted PKCS #8 key as openssl writes it: PBES2 with PBKDF2 and
// AES in CBC mode. The passphrase comes from the environment.
func decrypt(der []byte, passphrase string) ([]byte, error) {
	if passphrase == "" {
		return nil, errors.New("it is encrypted, and CONFIGPROXY_SSL_KEY_PASSPHRASE (CONFIGPROXY_API_SSL_KEY_PASSPHRASE) is not set")
	}
	var (
		outer encryptedKey
		how   pbes2
		kdf   pbkdf2Params
		iv    []byte
	)
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	if outer.Algorithm.Algorithm.String() != "1.2.840.113549.1.5.13" {
		return nil, errKey
	}
	_, err := asn1.Unmarshal(outer.Algorithm.Parameters.FullBytes, &how)
	if err == nil {
		_, err = asn1.Unmarshal(how.Derivation.Parameters.FullBytes, &kdf)
	}
	if err == nil {
		_, err = asn1.Unmarshal(how.Encryption.Parameters.FullBytes, &iv)
	}
	if err != nil {
		return nil, errKey
	}
	key, err := derive(kdf, how.Encryption.Algorithm.String(), passphrase)
	if err != nil {
		return nil, err
	}
	return unblock(key, iv, outer.Data)
}

// derive makes the AES key of a passphrase.
func derive(p pbkdf2Params, encryption, passphrase string) ([]byte, error) {
	lengths := map[string]int{ // bytes of key, by AES-CBC's names
		"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32,
	}
	hashes := map[string]func() hash.Hash{ // HMAC with each
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New,
		"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
	length, known := lengths[encryption]
	h, familiar := hashes[p.PRF.Algorithm.String()]
	if !known || !familiar || p.Iterations <= 0 || p.Iterations > maxIterations {
		return nil, errKey
	}
	return pbkdf2.Key(h, passphrase, p.Salt, p.Iterations, length)
}

// unblock undoes AES-CBC and its padding.
func unblock(key, iv, data []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(iv) != aes.BlockSize || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, errKey
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize || pad > len(plain) {
		return nil, errors.New("the passphrase does not open it")
	}
	return plain[:len(plain)-pad], nil
}
