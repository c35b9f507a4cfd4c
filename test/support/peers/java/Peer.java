import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.X509CertSelector;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.EnumSet;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * Mutual TLS from a mounted Secret, with Java's JSSE.
 *
 * <pre>
 * Peer [-crl FOLDER] server FOLDER PORT
 * Peer [-crl FOLDER] client PORT SERVER-NAME CA-FOLDER [FOLDER]
 * </pre>
 *
 * PORT is a port of 127.0.0.1, or HOST:PORT.
 *
  * The server responds with the client's certificate. The client prints the server's certificate, then the response. The
  * exit code is 1 if one side refused the other, and 2 for every other error. With -DstorePassword=PASSWORD it reads
  * keystore.p12 and truststore.p12, otherwise tls.crt, tls.key and ca.crt. With -crl, the folder must have a CRL of the
  * issuer of the other side's certificate, without its serial number.
 */
final class Peer {
  private static final char[] NO_PASSWORD = {};
  private static final String STORE_PASSWORD = System.getProperty("storePassword");

  /** The folder of ca.crl; null: CRLs are not checked. */
  private static Path crlFolder;

  public static void main(String[] arguments) {
    try {
      boolean checks = arguments[0].equals("-crl");
      if (checks) crlFolder = Path.of(arguments[1]);
      String[] args = Arrays.copyOfRange(arguments, checks ? 2 : 0, arguments.length);
      if (args[0].equals("server")) serve(Path.of(args[1]), address(args[2]));
      else connect(address(args[1]), args[2], Path.of(args[3]), args.length > 4 ? Path.of(args[4]) : null);
    } catch (Exception error) {
      System.err.println(error);
      System.exit(2);
    }
  }

  private static void serve(Path folder, InetSocketAddress address) throws IOException {
    try (var listener = new ServerSocket(address.getPort(), 50, address.getAddress())) {
      System.out.println("listening on " + listener.getInetAddress().getHostAddress() + ":" + listener.getLocalPort());
      while (true) {
        Socket raw = listener.accept();
        new Thread(() -> answer(raw, folder)).start();
      }
    }
  }

  private static InetSocketAddress address(String port) {
    String[] parts = port.contains(":") ? port.split(":") : new String[] {"127.0.0.1", port};
    return new InetSocketAddress(parts[0], Integer.parseInt(parts[1]));
  }

  private static void answer(Socket raw, Path folder) {
    // Each connection uses the current content of the folder.
    try (raw; var connection = (SSLSocket) mounted(folder).getSocketFactory().createSocket(raw, null, true)) {
      connection.setSoTimeout(30_000);
      connection.setUseClientMode(false);
      connection.setNeedClientAuth(true);
      skipRequestHead(connection.getInputStream());
      byte[] body = pem(connection.getSession().getPeerCertificates()[0]);
      String head = "HTTP/1.1 200 OK\r\nContent-Length: " + body.length + "\r\nConnection: close\r\n\r\n";
      connection.getOutputStream().write(head.getBytes());
      connection.getOutputStream().write(body);
    } catch (IOException | GeneralSecurityException error) {
      System.err.println(error);
    }
  }

  private static void connect(InetSocketAddress address, String serverName, Path caFolder, Path folder) throws Exception {
    var factory = context(caFolder, folder).getSocketFactory();
    var raw = new Socket(address.getAddress(), address.getPort());
    raw.setSoTimeout(30_000);
    try (var connection = (SSLSocket) factory.createSocket(raw, serverName, address.getPort(), true)) {
      var parameters = connection.getSSLParameters();
      parameters.setEndpointIdentificationAlgorithm("HTTPS");
      connection.setSSLParameters(parameters);
      connection.startHandshake();
      System.out.write(pem(connection.getSession().getPeerCertificates()[0]));
      String request = "GET / HTTP/1.1\r\nHost: " + serverName + "\r\nConnection: close\r\n\r\n";
      connection.getOutputStream().write(request.getBytes());
      connection.getInputStream().transferTo(System.out);
      System.out.flush();
    } catch (SSLException | java.net.SocketException error) {
      System.err.println("refused: " + error.getMessage());
      System.exit(1);
    }
  }

  private static Path lastVersion;
  private static SSLContext lastContext;

  /**
    * The context for one version of a mounted Secret. kubelet swaps all files atomically through the link ..data and then
    * removes the old version. So follow the link once, not for each file, and retry if the version was removed meanwhile.
    * The context is cached until the version changes: creating it takes longer than a handshake.
   */
  private static synchronized SSLContext mounted(Path folder) throws IOException, GeneralSecurityException {
    Path link = folder.resolve("..data");
    while (true) {
      Path version = Files.readSymbolicLink(link);
      if (version.equals(lastVersion)) return lastContext;
      try {
        lastContext = context(folder.resolve(version), folder.resolve(version));
        lastVersion = version;
      } catch (NoSuchFileException error) {
        if (Files.readSymbolicLink(link).equals(version)) throw error;
      }
    }
  }

  private static SSLContext context(Path caFolder, Path folder) throws IOException, GeneralSecurityException {
    if (STORE_PASSWORD != null) return contextOfStores(caFolder, folder, STORE_PASSWORD.toCharArray());
    var roots = emptyStore();
    int count = 0;
    for (var root : certificates(caFolder.resolve("ca.crt"))) roots.setCertificateEntry("root-" + count++, root);
    var own = folder == null ? null : ownStore(folder);
    return crlFolder == null ? context(roots, own, NO_PASSWORD) : contextCheckingCrls(roots, own);
  }

  private static SSLContext contextOfStores(Path caFolder, Path folder, char[] password)
      throws IOException, GeneralSecurityException {
    var roots = store(caFolder.resolve("truststore.p12"), password);
    return context(roots, folder == null ? null : store(folder.resolve("keystore.p12"), password), password);
  }

  private static KeyStore store(Path file, char[] password) throws IOException, GeneralSecurityException {
    var store = KeyStore.getInstance("PKCS12");
    try (var in = Files.newInputStream(file)) {
      store.load(in, password);
    }
    return store;
  }

  private static SSLContext context(KeyStore roots, KeyStore own, char[] password) throws GeneralSecurityException {
    var trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(roots);
    var keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, password);
    var context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private static SSLContext contextCheckingCrls(KeyStore roots, KeyStore own) throws IOException, GeneralSecurityException {
    var checker = (PKIXRevocationChecker) CertPathBuilder.getInstance("PKIX").getRevocationChecker();
    checker.setOptions(EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK, Option.ONLY_END_ENTITY));
    var parameters = new PKIXBuilderParameters(roots, new X509CertSelector());
    parameters.addCertPathChecker(checker);
    try (var in = Files.newInputStream(crlFolder.resolve("ca.crl"))) {
      var crls = CertificateFactory.getInstance("X.509").generateCRLs(in);
      parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(crls)));
    }
    var trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(new CertPathTrustManagerParameters(parameters));
    var keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, NO_PASSWORD);
    var context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private static KeyStore ownStore(Path folder) throws IOException, GeneralSecurityException {
    var chain = certificates(folder.resolve("tls.crt"));
    var own = emptyStore();
    own.setKeyEntry("own", privateKey(folder.resolve("tls.key"), chain[0]), NO_PASSWORD, chain);
    return own;
  }

  private static KeyStore emptyStore() throws IOException, GeneralSecurityException {
    var store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    return store;
  }

  private static Certificate[] certificates(Path file) throws IOException, GeneralSecurityException {
    try (var in = Files.newInputStream(file)) {
      return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
    }
  }

  private static PrivateKey privateKey(Path file, Certificate certificate) throws IOException, GeneralSecurityException {
    String base64 = Files.readString(file).replaceAll("-----(BEGIN|END) PRIVATE KEY-----", "");
    var pkcs8 = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(base64));
    return KeyFactory.getInstance(certificate.getPublicKey().getAlgorithm()).generatePrivate(pkcs8);
  }

  private static byte[] pem(Certificate certificate) throws GeneralSecurityException {
    String base64 = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(certificate.getEncoded());
    return ("-----BEGIN CERTIFICATE-----\n" + base64 + "\n-----END CERTIFICATE-----\n").getBytes();
  }

  private static void skipRequestHead(InputStream in) throws IOException {
    for (int newlines = 0; newlines < 2; ) {
      int next = in.read();
      if (next < 0) return;
      if (next == '\n') newlines++;
      else if (next != '\r') newlines = 0;
    }
  }
}
