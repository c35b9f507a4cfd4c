// Command judge checks certificates with Go's crypto/x509 and crypto/tls, one question a line, see program.ts.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
	"email":  x509.ExtKeyUsageEmailProtection,
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		id, kind, folder, trust, usage, name, at := fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]
		var refusal error
		if kind == "key" {
			_, refusal = tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
		} else {
			refusal = verify(folder, trust, usages[usage], name, at)
		}
		if refusal == nil {
			fmt.Printf("%s\tyes\n", id)
		} else {
			fmt.Printf("%s\tno\t%s\n", id, strings.ReplaceAll(refusal.Error(), "\n", " "))
		}
	}
}

func verify(folder, trust string, usage x509.ExtKeyUsage, name, at string) error {
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := readCertificates(filepath.Join(folder, "tls.crt"))
	if err != nil {
		return err
	}
	anchors, err := readCertificates(trust)
	if err != nil {
		return err
	}
	_, host, _ := strings.Cut(name, ":")
	_, err = chain[0].Verify(x509.VerifyOptions{
		DNSName:       host,
		Roots:         pool(anchors),
		Intermediates: pool(chain[1:]),
		CurrentTime:   time.Unix(seconds, 0),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificates")
	}
	return certificates, nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	roots := x509.NewCertPool()
	for _, certificate := range certificates {
		roots.AddCert(certificate)
	}
	return roots
}
