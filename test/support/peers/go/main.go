// Command peer does mutual TLS from a mounted Secret, with Go's crypto/tls.
//
//	peer server FOLDER PORT
//	peer client PORT SERVER-NAME CA-FOLDER [FOLDER]
//
// The server answers with the client's certificate; the client prints the server's certificate, then the answer.
// It ends with code 1 when one side refused the other, with 2 on everything else.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

var errRefused = errors.New("refused")

func main() {
	if err := peer(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, errRefused) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

func peer(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "server":
		return serve(args[1], args[2])
	case len(args) == 4 && args[0] == "client":
		return connect(args[1], args[2], args[3], "")
	case len(args) == 5 && args[0] == "client":
		return connect(args[1], args[2], args[3], args[4])
	}
	return errors.New("usage: peer server FOLDER PORT | peer client PORT SERVER-NAME CA-FOLDER [FOLDER]")
}

func serve(folder, port string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pem.Encode(w, certificateBlock(r.TLS.VerifiedChains[0][0]))
		}),
		TLSConfig: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return serverConfig(folder)
		}},
	}
	server.SetKeepAlivesEnabled(false)
	return server.ServeTLS(listener, "", "")
}

// serverConfig is what the folder holds now.
func serverConfig(folder string) (*tls.Config, error) {
	roots, err := readRoots(folder)
	if err != nil {
		return nil, err
	}
	certificate, err := readKeyPair(folder)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

func connect(port, serverName, caFolder, folder string) error {
	roots, err := readRoots(caFolder)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: serverName, RootCAs: roots}
	if folder != "" {
		certificate, err := readKeyPair(folder)
		if err != nil {
			return err
		}
		// Config.Certificates would hold back a certificate that the server's list of roots rules out.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}
	}
	raw, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer raw.Close()
	connection := tls.Client(raw, config)
	if err := connection.Handshake(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	pem.Encode(os.Stdout, certificateBlock(connection.ConnectionState().VerifiedChains[0][0]))
	// A refusal of the client's certificate arrives with the first read, or breaks the write before it.
	if _, err := fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", serverName); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	if _, err := io.Copy(os.Stdout, connection); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

func readKeyPair(folder string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
}

func readRoots(folder string) (*x509.CertPool, error) {
	bundle, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("no certificate in %s/ca.crt", folder)
	}
	return roots, nil
}

func certificateBlock(certificate *x509.Certificate) *pem.Block {
	return &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}
}
