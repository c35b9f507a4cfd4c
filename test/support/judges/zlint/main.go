// Command judge checks the form of certificates with zlint, one question a line, see program.ts. It applies the lints that
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
		bad, remarks := findingsOf(filepath.Join(fields[2], "tls.crt"), lints)
		if len(bad) > 0 {
			fmt.Printf("%s\tno\t%s\n", fields[0], strings.Join(bad, "; "))
		} else {
			fmt.Printf("%s\tyes\t%s\n", fields[0], strings.Join(remarks, "; "))
		}
	}
}

// findingsOf returns the errors and the remarks on the first certificate of a file.
func findingsOf(path string, lints lint.Registry) (bad, remarks []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return []string{err.Error()}, nil
	}
	for name, result := range zlint.LintCertificateEx(certificate, lints).Results {
		finding := strings.ReplaceAll(fmt.Sprintf("%s: %s %s", result.Status, name, result.Details), ";", ",")
		if result.Status > lint.Notice {
			bad = append(bad, finding)
		} else if result.Status == lint.Notice {
			remarks = append(remarks, finding)
		}
	}
	slices.Sort(bad)
	slices.Sort(remarks)
	return bad, remarks
}
