import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509KeyManager;
import javax.net.ssl.X509TrustManager;

/**
  * Reads keystores with the KeyStore API and with the managers that TLS uses. Arguments: the keystore type, then KIND PATH
  * PASSWORD for each; it prints a line of JSON for each.
 */
public final class StoreReader {
  public static void main(String[] args) throws Exception {
    for (int i = 1; i < args.length; i += 3) {
      System.out.println(read(args[0], args[i], Path.of(args[i + 1]), args[i + 2].toCharArray()));
    }
  }

  private static String read(String type, String kind, Path path, char[] password) throws GeneralSecurityException {
    try {
      KeyStore store = KeyStore.getInstance(type);
      store.load(new ByteArrayInputStream(Files.readAllBytes(path)), password);
      return kind.equals("truststore") ? roots(store) : entry(store, password);
    } catch (IOException | IllegalStateException error) {
      return "{\"error\":" + quoted(error.getMessage() + ": " + error.getCause()) + "}";
    }
  }

  /** The only entry. Its key signs for its certificate, and a TLS server or client finds it. */
  private static String entry(KeyStore store, char[] password) throws GeneralSecurityException {
    List<String> aliases = Collections.list(store.aliases());
    String alias = aliases.get(0);
    if (aliases.size() != 1 || !store.isKeyEntry(alias)) throw new IllegalStateException("not one key: " + aliases);
    PrivateKey key = (PrivateKey) store.getKey(alias, password);
    Certificate[] chain = store.getCertificateChain(alias);
    requireSignsFor(key, chain[0]);

    KeyManagerFactory managers = KeyManagerFactory.getInstance("PKIX");
    managers.init(store, password);
    X509KeyManager manager = (X509KeyManager) managers.getKeyManagers()[0];
    if (manager.getServerAliases(key.getAlgorithm(), null) == null) throw new IllegalStateException("not for a server");

    String pkcs8 = Base64.getEncoder().encodeToString(key.getEncoded());
    return json(aliases, List.of(chain), ",\"privateKey\":" + quoted(pkcs8));
  }

  private static void requireSignsFor(PrivateKey key, Certificate certificate) throws GeneralSecurityException {
    String algorithm =
        switch (key.getAlgorithm()) {
          case "RSA" -> "SHA256withRSA";
          case "EC" -> "SHA256withECDSA";
          default -> "Ed25519";
        };
    byte[] message = {1, 2, 3};
    Signature signer = Signature.getInstance(algorithm);
    signer.initSign(key);
    signer.update(message);
    byte[] signature = signer.sign();
    signer.initVerify(certificate);
    signer.update(message);
    if (!signer.verify(signature)) throw new IllegalStateException("the key does not belong to the certificate");
  }

  /** The trusted entries. A TLS peer accepts all of them as issuers. */
  private static String roots(KeyStore store) throws GeneralSecurityException {
    List<String> aliases = Collections.list(store.aliases());
    List<Certificate> certificates = new ArrayList<>();
    for (String alias : aliases) {
      if (!store.isCertificateEntry(alias)) throw new IllegalStateException("not a trusted certificate: " + alias);
      certificates.add(store.getCertificate(alias));
    }
    TrustManagerFactory managers = TrustManagerFactory.getInstance("PKIX");
    managers.init(store);
    X509TrustManager manager = (X509TrustManager) managers.getTrustManagers()[0];
    if (manager.getAcceptedIssuers().length != certificates.size()) throw new IllegalStateException("not all trusted");
    return json(aliases, certificates, "");
  }

  private static String json(List<String> aliases, List<Certificate> certificates, String more)
      throws GeneralSecurityException {
    List<String> fingerprints = new ArrayList<>();
    for (Certificate certificate : certificates) {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
      fingerprints.add(HexFormat.of().formatHex(digest));
    }
    return "{\"aliases\":" + list(aliases) + ",\"certificates\":" + list(fingerprints) + more + "}";
  }

  private static String list(List<String> texts) {
    return texts.stream().map(StoreReader::quoted).collect(Collectors.joining(",", "[", "]"));
  }

  private static String quoted(String text) {
    return '"' + text.replaceAll("[\"\\\\\\p{Cntrl}]", " ") + '"';
  }
}
