import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Date;
import java.util.HashSet;
import javax.net.ssl.CertPathTrustManagerParameters;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
  * Checks certificates with Java, one question a line, see program.ts. Each check is a real handshake in memory. JSSE
  * verifies the certificate with PKIX at the requested time, and the name by the rules of HTTPS.
 */
final class Judge {
  public static void main(String[] args) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = lines.readLine()) != null; ) {
      String[] fields = line.split("\t", -1);
      String refusal = refusal(fields[1], Path.of(fields[2]), Path.of(fields[3]), fields[4], fields[5], fields[6]);
      System.out.println(fields[0] + "\t" + (refusal == null ? "yes\t" : "no\t" + refusal.replaceAll("\\s+", " ")));
    }
  }

  private static String refusal(String kind, Path folder, Path trust, String usage, String name, String at)
      throws IOException {
    try {
      String key = kind.equals("key") ? "tls.key" : "pkcs8.key";
      var own = new Own(certificates(folder.resolve("tls.crt")), folder.resolve(key));
      if (kind.equals("key")) {
        return own.keyBelongs() ? null : "the key does not belong to the certificate";
      }
      var date = new Date(Long.parseLong(at) * 1000);
      String host = name.isEmpty() ? null : name.substring(name.indexOf(':') + 1);
      if (usage.equals("client")) {
        handshake(engine(own, new Indifferent(), null, true), engine(own, pkix(trust, date), null, false));
      } else {
        handshake(engine(null, pkix(trust, date), host, true), engine(own, new Indifferent(), null, false));
      }
      return null;
    } catch (SSLException | GeneralSecurityException | RuntimeException error) {
      // For odd constraints Java throws exceptions of its own. A peer sees them as refusals.
      Throwable cause = error;
      while (cause.getCause() != null) cause = cause.getCause();
      return error.getMessage() + ": " + cause.getMessage();
    }
  }

  private static TrustManager pkix(Path trust, Date date) throws IOException, GeneralSecurityException {
    var anchors = new HashSet<TrustAnchor>();
    for (var root : certificates(trust)) anchors.add(new TrustAnchor(root, null));
    var parameters = new PKIXBuilderParameters(anchors, new X509CertSelector());
    parameters.setDate(date);
    parameters.setRevocationEnabled(false);
    var factory = TrustManagerFactory.getInstance("PKIX");
    factory.init(new CertPathTrustManagerParameters(parameters));
    return factory.getTrustManagers()[0];
  }

  private static SSLEngine engine(Own own, TrustManager trust, String host, boolean isClient)
      throws GeneralSecurityException {
    var context = SSLContext.getInstance("TLS");
    context.init(own == null ? null : new KeyManager[] {own}, new TrustManager[] {trust}, null);
    var engine = host == null ? context.createSSLEngine() : context.createSSLEngine(host, 443);
    engine.setUseClientMode(isClient);
    if (!isClient) engine.setNeedClientAuth(!(trust instanceof Indifferent));
    if (host != null) {
      var parameters = engine.getSSLParameters();
      parameters.setEndpointIdentificationAlgorithm("HTTPS");
      engine.setSSLParameters(parameters);
    }
    return engine;
  }

  /** Runs a handshake between both ends. Throws if one end refuses the other. */
  private static void handshake(SSLEngine client, SSLEngine server) throws SSLException {
    var toServer = ByteBuffer.allocate(1 << 18);
    var toClient = ByteBuffer.allocate(1 << 18);
    client.beginHandshake();
    server.beginHandshake();
    for (int round = 0; round < 100; round++) {
      boolean clientIsDone = advance(client, toClient, toServer);
      boolean serverIsDone = advance(server, toServer, toClient);
      if (clientIsDone && serverIsDone) return;
    }
    throw new IllegalStateException("the handshake does not end");
  }

  private static final ByteBuffer EMPTY = ByteBuffer.allocate(0);

  /** One step of a handshake. True if this end is done. */
  private static boolean advance(SSLEngine engine, ByteBuffer in, ByteBuffer out) throws SSLException {
    switch (engine.getHandshakeStatus()) {
      case NEED_TASK -> {
        for (Runnable task; (task = engine.getDelegatedTask()) != null; ) task.run();
      }
      case NEED_WRAP -> engine.wrap(EMPTY, out);
      case NEED_UNWRAP, NEED_UNWRAP_AGAIN -> {
        in.flip();
        engine.unwrap(in, ByteBuffer.allocate(1 << 16));
        in.compact();
      }
      default -> {}
    }
    return engine.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING;
  }

  private static X509Certificate[] certificates(Path file) throws IOException, GeneralSecurityException {
    try (var in = Files.newInputStream(file)) {
      return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new X509Certificate[0]);
    }
  }

  /** Presents its certificate regardless of what the other end requests. */
  private static final class Own extends X509ExtendedKeyManager {
    private final X509Certificate[] chain;
    private final PrivateKey key;

    Own(X509Certificate[] chain, Path keyFile) throws IOException, GeneralSecurityException {
      this.chain = chain;
      String base64 = Files.readString(keyFile).replaceAll("-----[A-Z ]+-----", "");
      var spec = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(base64));
      String algorithm = chain[0].getPublicKey().getAlgorithm();
      key = KeyFactory.getInstance(algorithm).generatePrivate(spec);
    }

    boolean keyBelongs() throws GeneralSecurityException {
      byte[] probe = {1, 2, 3};
      String algorithm = key.getAlgorithm();
      String name = algorithm.equals("RSA") ? "SHA256withRSA" : algorithm.equals("EC") ? "SHA256withECDSA" : "EdDSA";
      var signature = Signature.getInstance(name);
      signature.initSign(key);
      signature.update(probe);
      byte[] signed = signature.sign();
      signature.initVerify(chain[0]);
      signature.update(probe);
      return signature.verify(signed);
    }

    @Override
    public String chooseEngineClientAlias(String[] types, Principal[] issuers, SSLEngine engine) {
      return "own";
    }

    @Override
    public String chooseEngineServerAlias(String type, Principal[] issuers, SSLEngine engine) {
      String algorithm = key.getAlgorithm();
      return type.equals(algorithm) || (type.equals("EdDSA") && algorithm.startsWith("Ed")) ? "own" : null;
    }

    @Override
    public X509Certificate[] getCertificateChain(String alias) {
      return chain;
    }

    @Override
    public PrivateKey getPrivateKey(String alias) {
      return key;
    }

    @Override
    public String[] getClientAliases(String type, Principal[] issuers) {
      return null;
    }

    @Override
    public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) {
      return null;
    }

    @Override
    public String[] getServerAliases(String type, Principal[] issuers) {
      return null;
    }

    @Override
    public String chooseServerAlias(String type, Principal[] issuers, Socket socket) {
      return null;
    }
  }

  /** Trusts everything: for the end that is not under test. */
  private static final class Indifferent extends X509ExtendedTrustManager {
    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }
}
