// Command crl checks certificates against CRLs like a Go program that checks CRLs: crypto/x509 parses and verifies both,
// the program does the rest. For every three files (roots, CRLs, a leaf with its intermediates) it prints a line of
// JSON: the content of the CRLs, and why it refuses the leaf, if it does.
package main

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

type list struct {
	Number         string
	AuthorityKeyID string
	ThisUpdate     time.Time
	NextUpdate     time.Time
	Extensions     []string
	Revoked        []string
}

type verdict struct {
	Lists   []list
	Refusal string
}

func main() {
	files := os.Args[1:]
	for ; len(files) >= 3; files = files[3:] {
		answer, err := judge(files[0], files[1], files[2])
		if err != nil {
			answer.Refusal = err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			panic(err)
		}
	}
}

func judge(rootFile, crlFile, leafFile string) (verdict, error) {
	var answer verdict
	lists, err := read(crlFile, x509.ParseRevocationList)
	if err != nil {
		return answer, err
	}
	for _, crl := range lists {
		answer.Lists = append(answer.Lists, describe(crl))
	}
	roots, err := read(rootFile, x509.ParseCertificate)
	if err != nil {
		return answer, err
	}
	chain, err := read(leafFile, x509.ParseCertificate)
	if err != nil {
		return answer, err
	}
	pool, between := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: between})
	if err != nil {
		return answer, err
	}
	return answer, check(chain[0], paths[0][1], lists)
}

func check(leaf, issuer *x509.Certificate, lists []*x509.RevocationList) error {
	reason := errors.New("no CRL of the issuer")
	for _, crl := range lists {
		if !bytes.Equal(crl.RawIssuer, issuer.RawSubject) {
			continue
		}
		if err := crl.CheckSignatureFrom(issuer); err != nil {
			reason = err
			continue
		}
		if now := time.Now(); now.Before(crl.ThisUpdate) || now.After(crl.NextUpdate) {
			reason = errors.New("the CRL has expired")
			continue
		}
		for _, entry := range crl.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
				return fmt.Errorf("revoked at %s", entry.RevocationTime)
			}
		}
		return nil
	}
	return reason
}

func describe(crl *x509.RevocationList) list {
	described := list{
		Number:         crl.Number.String(),
		AuthorityKeyID: hex.EncodeToString(crl.AuthorityKeyId),
		ThisUpdate:     crl.ThisUpdate,
		NextUpdate:     crl.NextUpdate,
		Extensions:     []string{},
		Revoked:        []string{},
	}
	for _, extension := range crl.Extensions {
		described.Extensions = append(described.Extensions, extension.Id.String())
	}
	for _, entry := range crl.RevokedCertificateEntries {
		described.Revoked = append(described.Revoked, fmt.Sprintf("%x %s", entry.SerialNumber, entry.RevocationTime.Format(time.RFC3339)))
	}
	return described
}

// read parses every PEM block of a file.
func read[T any](file string, parse func([]byte) (T, error)) ([]T, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []T
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		one, err := parse(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
