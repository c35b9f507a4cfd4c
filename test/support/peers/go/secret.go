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

// secret is the content of a mounted Secret.
type secret struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

// readSecret reads one version of a mounted Secret.
func readSecret(folder string) (secret, error) {
	return readMounted(folder, func(version string) (secret, error) {
		certificate, err := tls.LoadX509KeyPair(filepath.Join(version, "tls.crt"), filepath.Join(version, "tls.key"))
		if err != nil {
			return secret{}, err
		}
		roots, err := rootsIn(version)
		return secret{certificate, roots}, err
	})
}

// readRoots reads only the roots, from a mounted Secret or from a ConfigMap, which has nothing else.
func readRoots(folder string) (*x509.CertPool, error) {
	return readMounted(folder, rootsIn)
}

// readMounted reads one version of a mounted folder. kubelet swaps all files atomically through the link ..data and then
// removes the old version. So follow the link once, not for each file, and retry if the version was removed meanwhile.
func readMounted[T any](folder string, readVersion func(version string) (T, error)) (T, error) {
	for {
		version, err := os.Readlink(filepath.Join(folder, "..data"))
		if err != nil {
			var none T
			return none, err
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

func rootsIn(version string) (*x509.CertPool, error) {
	bundle, err := os.ReadFile(filepath.Join(version, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("no certificate in %s/ca.crt", version)
	}
	return roots, nil
}
