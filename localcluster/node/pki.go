package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const validity = 365 * 24 * time.Hour

// identity is one certificate: a client's name and group, or a server's addresses.
type identity struct {
	file, name, group string
	server            bool
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// writePKI makes the certificates of one cluster. etcd has an authority of its own: whoever the
// cluster's signs (any approved CSR) must not read the database.
func writePKI(args []string) error {
	flags := flag.NewFlagSet("pki", flag.ContinueOnError)
	folder := flags.String("dir", "", "folder to write")
	addresses := flags.String("addresses", "", "comma-separated names and addresses of the API server")
	node := flags.String("node", "", "name of the node")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hosts := strings.Split(*addresses, ",")
	cluster := []identity{
		{file: "apiserver", name: "kube-apiserver", server: true},
		{file: "kubelet-server", name: *node, server: true},
		{file: "apiserver-kubelet", name: "kube-apiserver-kubelet", group: "system:masters"},
		{file: "admin", name: "kubernetes-admin", group: "system:masters"},
		{file: "kubelet", name: "system:node:" + *node, group: "system:nodes"},
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "proxy", name: "system:kube-proxy"},
	}
	etcd := []identity{{file: "etcd-server", name: "etcd", server: true}, {file: "etcd-client", name: "kube-apiserver"}}
	if err := writeFamily(*folder, "ca", cluster, hosts); err != nil {
		return err
	}
	if err := writeFamily(*folder, "etcd-ca", etcd, []string{"127.0.0.1", "localhost"}); err != nil {
		return err
	}
	if err := writeFamily(*folder, "front-proxy-ca", []identity{{file: "front-proxy", name: "front-proxy-client"}}, nil); err != nil {
		return err
	}
	key, err := newKey(filepath.Join(*folder, "service-account.key"))
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(*folder, "service-account.pub"), "PUBLIC KEY", public)
}

func writeFamily(folder, name string, members []identity, hosts []string) error {
	key, err := newKey(filepath.Join(folder, name+".key"))
	if err != nil {
		return err
	}
	template := newTemplate(pkix.Name{CommonName: "anneal-localcluster-" + name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	signer := authority{certificate: template, key: key}
	if err := signer.sign(filepath.Join(folder, name+".crt"), template, key); err != nil {
		return err
	}
	for _, member := range members {
		if err := signer.issue(folder, member, hosts); err != nil {
			return err
		}
	}
	return nil
}

func (a authority) issue(folder string, member identity, hosts []string) error {
	key, err := newKey(filepath.Join(folder, member.file+".key"))
	if err != nil {
		return err
	}
	subject := pkix.Name{CommonName: member.name}
	if member.group != "" {
		subject.Organization = []string{member.group}
	}
	template := newTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if member.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		addHosts(template, append([]string{member.name}, hosts...))
	}
	return a.sign(filepath.Join(folder, member.file+".crt"), template, key)
}

func (a authority) sign(path string, template *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", der)
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
	}
}

func addHosts(template *x509.Certificate, hosts []string) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
