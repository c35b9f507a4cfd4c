package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

type verifier = func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error

// notRevoked checks the leaf against the CRLs that the folder holds at that time, which crypto/tls does not do. Without a
// folder it is nil, and nothing is checked.
func notRevoked(folder string) verifier {
	if folder == "" {
		return nil
	}
	return func(_ [][]byte, chains [][]*x509.Certificate) error {
		lists, err := readMounted(folder, crlsIn)
		if err != nil {
			return err
		}
		// There is one chain for each path to a root. The leaf is the same in all of them.
		for _, chain := range chains {
			if err = checkLeaf(chain, lists); err == nil {
				return nil
			}
		}
		return err
	}
}

func checkLeaf(chain []*x509.Certificate, lists []*x509.RevocationList) error {
	if len(chain) < 2 {
		return errors.New("a root is not a leaf")
	}
	leaf, issuer := chain[0], chain[1]
	for _, list := range lists {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if time.Now().After(list.NextUpdate) {
			return fmt.Errorf("the CRL of %s has expired", issuer.Subject)
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
				return fmt.Errorf("certificate %x is revoked", leaf.SerialNumber)
			}
		}
		return nil
	}
	return fmt.Errorf("there is no CRL of %s", issuer.Subject)
}

func crlsIn(version string) ([]*x509.RevocationList, error) {
	rest, err := os.ReadFile(filepath.Join(version, "ca.crl"))
	if err != nil {
		return nil, err
	}
	var lists []*x509.RevocationList
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return lists, nil
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
}
