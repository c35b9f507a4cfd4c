package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secret is what a mounted Secret holds.
type secret struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

// readSecret reads one version of a mounted Secret. kubelet swaps all files at once by the link ..data, then removes
// those before: the link is followed once, not for each file, and again when the files have gone meanwhile.
func readSecret(folder string) (secret, error) {
	for {
		version, err := os.Readlink(filepath.Join(folder, "..data"))
		if err != nil {
			return secret{}, err
		}
		read, err := readVersion(filepath.Join(folder, version))
		if errors.Is(err, fs.ErrNotExist) {
			if now, _ := os.Readlink(filepath.Join(folder, "..data")); now != version {
				continue
			}
		}
		return read, err
	}
}

func readVersion(folder string) (secret, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	// A ConfigMap of roots has no key pair: then there is none to show.
	if err != nil && !isBare(folder) {
		return secret{}, err
	}
	bundle, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return secret{}, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return secret{}, fmt.Errorf("no certificate in %s/ca.crt", folder)
	}
	return secret{certificate, roots}, nil
}

// isBare tells whether a folder holds roots and nothing else.
func isBare(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && len(entries) == 1 && entries[0].Name() == "ca.crt"
}
