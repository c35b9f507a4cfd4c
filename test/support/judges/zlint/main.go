// Command judge asks zlint about the form of certificates: a question a line, see program.ts. It applies the lints that
// come from RFCs, not those of the CA/Browser Forum and of root programs, which are for public CAs.
package main

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

func main() {
	lints, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813,
	}})
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		findings, isBad := findingsOf(filepath.Join(fields[2], "tls.crt"), lints)
		answer := "yes"
		if isBad {
			answer = "no"
		}
		fmt.Printf("%s\t%s\t%s\n", fields[0], answer, strings.Join(findings, "; "))
	}
}

// findingsOf says what is to be said of the first certificate of a file, and whether some of it is more than a notice.
func findingsOf(path string, lints lint.Registry) (findings []string, isBad bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return []string{err.Error()}, true
	}
	for name, result := range zlint.LintCertificateEx(certificate, lints).Results {
		if result.Status >= lint.Notice {
			findings = append(findings, strings.TrimSpace(fmt.Sprintf("%s: %s %s", result.Status, name, result.Details)))
			isBad = isBad || result.Status > lint.Notice
		}
	}
	slices.Sort(findings)
	return findings, isBad
}
