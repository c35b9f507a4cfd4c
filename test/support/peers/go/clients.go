package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// round has the clients and servers: every client connects to all servers in turn, until the program is stopped.
type round struct {
	Clients []struct{ Name, Folder string }
	Servers []struct{ Name, ServerName, Port string }
	// Time between the starts of two connections of a client.
	EveryMs int
}

// handshake is one line of output for each connection.
type handshake struct {
	Client string `json:"client"`
	Server string `json:"server"`
	// The end in milliseconds since 1970, and the duration, including reading the files.
	At     int64   `json:"at"`
	TookMs float64 `json:"tookMs"`
	// Serial numbers of the certificates that both sides verified, in hexadecimal.
	ServerSerial string `json:"serverSerial,omitempty"`
	ClientSerial string `json:"clientSerial,omitempty"`
	Error        string `json:"error,omitempty"`
}

// runClients returns only if its argument is invalid.
func runClients(argument string) error {
	var round round
	if err := json.Unmarshal([]byte(argument), &round); err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	handshakes := make(chan handshake)
	every := time.Duration(round.EveryMs) * time.Millisecond
	for number, client := range round.Clients {
		go func() {
			// Each client starts with another server.
			for turn := number; ; turn++ {
				server := round.Servers[turn%len(round.Servers)]
				started := time.Now()
				serverSerial, clientSerial, err := meet(client.Folder, server.Port, server.ServerName)
				tookMs := float64(time.Since(started).Microseconds()) / 1000
				line := handshake{client.Name, server.Name, time.Now().UnixMilli(), tookMs, serverSerial, clientSerial, ""}
				if err != nil {
					line.Error = err.Error()
				}
				handshakes <- line
				time.Sleep(time.Until(started.Add(every)))
			}
		}()
	}
	for line := range handshakes {
		if err := output.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// meet connects with the current content of the folder, and returns the serial numbers of the two certificates.
func meet(folder, port, serverName string) (server, client string, err error) {
	mounted, err := readSecret(folder)
	if err != nil {
		return "", "", err
	}
	verified, answer, err := exchange(port, serverName, mounted.roots, &mounted.certificate, nil)
	if err != nil {
		return "", "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		return "", "", fmt.Errorf("no answer: %w", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("the server answers %s", response.Status)
	}
	block, _ := pem.Decode(body)
	if block == nil {
		return "", "", errors.New("the server did not send the certificate that it verified")
	}
	own, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", "", err
	}
	return serial(verified), serial(own), nil
}

func serial(certificate *x509.Certificate) string {
	return hex.EncodeToString(certificate.SerialNumber.Bytes())
}
