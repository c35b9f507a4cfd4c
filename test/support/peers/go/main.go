// Command peer does mutual TLS from a mounted Secret, with Go's crypto/tls.
//
//	peer [-crl FOLDER] server FOLDER PORT
//	peer [-crl FOLDER] client PORT SERVER-NAME CA-FOLDER [FOLDER]
//	peer clients JSON
//
// PORT is a port of 127.0.0.1, or HOST:PORT.
// With -crl, the folder must have a CRL of the issuer of the other side's certificate, without its serial number.
// The server responds with the client's certificate. The client prints the server's certificate, then the response.
// The exit code is 1 if one side refused the other, and 2 for every other error. The clients are in clients.go.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var errRefused = errors.New("refused")

func main() {
	crlFolder := flag.String("crl", "", "the folder of ca.crl")
	flag.Parse()
	if err := peer(*crlFolder, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errRefused) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

func peer(crlFolder string, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "server":
		return serve(args[1], args[2], crlFolder)
	case len(args) == 4 && args[0] == "client":
		return connect(args[1], args[2], args[3], "", crlFolder)
	case len(args) == 5 && args[0] == "client":
		return connect(args[1], args[2], args[3], args[4], crlFolder)
	case len(args) == 2 && args[0] == "clients":
		return runClients(args[1])
	}
	return errors.New("usage: peer [-crl FOLDER] server FOLDER PORT | client PORT SERVER-NAME CA-FOLDER [FOLDER] | clients JSON")
}

func serve(folder, port, crlFolder string) error {
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pem.Encode(w, certificateBlock(r.TLS.VerifiedChains[0][0]))
		}),
		TLSConfig: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config, err := serverConfig(folder)
			if err == nil {
				config.VerifyPeerCertificate = notRevoked(crlFolder)
			}
			return config, err
		}},
	}
	server.SetKeepAlivesEnabled(false)
	return server.ServeTLS(listener, "", "")
}

// serverConfig reads the current content of the folder.
func serverConfig(folder string) (*tls.Config, error) {
	mounted, err := readSecret(folder)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{mounted.certificate},
		ClientCAs:    mounted.roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

func connect(port, serverName, caFolder, folder, crlFolder string) error {
	roots, err := readRoots(caFolder)
	if err != nil {
		return err
	}
	var own *tls.Certificate
	if folder != "" {
		mounted, err := readSecret(folder)
		if err != nil {
			return err
		}
		own = &mounted.certificate
	}
	server, answer, err := exchange(port, serverName, roots, own, notRevoked(crlFolder))
	if err != nil {
		return err
	}
	pem.Encode(os.Stdout, certificateBlock(server))
	_, err = os.Stdout.Write(answer)
	return err
}

// exchange makes one connection, with a client certificate unless own is nil. It returns the certificate that it verified
// and the response of the server, which may be empty.
func exchange(port, serverName string, roots *x509.CertPool, own *tls.Certificate, verify verifier) (*x509.Certificate, []byte, error) {
	config := &tls.Config{ServerName: serverName, RootCAs: roots, VerifyPeerCertificate: verify}
	if own != nil {
		// With Config.Certificates, Go would not send a certificate whose issuer is not in the server's list of roots.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	raw, err := net.Dial("tcp", address(port))
	if err != nil {
		return nil, nil, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(30 * time.Second))
	connection := tls.Client(raw, config)
	if err := connection.Handshake(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	// If the server refuses the client's certificate, the first read fails, or already the write.
	if _, err := fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", serverName); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return connection.ConnectionState().VerifiedChains[0][0], answer, nil
}

func address(port string) string {
	if strings.Contains(port, ":") {
		return port
	}
	return "127.0.0.1:" + port
}

func certificateBlock(certificate *x509.Certificate) *pem.Block {
	return &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}
}
