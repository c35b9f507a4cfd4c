import java.io.FileInputStream;
import java.io.InputStream;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
  * Checks certificates against CRLs with Java's PKIX. For every three files (roots, CRLs, a leaf with its intermediates)
  * it prints a line: `ok`, or why it refuses the leaf.
 */
public final class Crl {
  private Crl() {}

  public static void main(String[] files) throws Exception {
    for (int i = 0; i + 2 < files.length; i += 3) {
      String verdict;
      try {
        judge(files[i], files[i + 1], files[i + 2]);
        verdict = "ok";
      } catch (CertPathValidatorException e) {
        verdict = e.getReason() + ": " + e.getMessage();
      } catch (GeneralSecurityException e) {
        verdict = String.valueOf(e.getMessage());
      }
      System.out.println(verdict.replace('\n', ' '));
    }
  }

  private static void judge(String rootFile, String crlFile, String leafFile) throws Exception {
    CertificateFactory factory = CertificateFactory.getInstance("X.509");
    Set<TrustAnchor> anchors = new HashSet<>();
    List<Certificate> chain;
    Collection<?> crls;
    try (InputStream roots = new FileInputStream(rootFile);
        InputStream leaf = new FileInputStream(leafFile);
        InputStream lists = new FileInputStream(crlFile)) {
      for (Certificate root : factory.generateCertificates(roots)) {
        anchors.add(new TrustAnchor((X509Certificate) root, null));
      }
      chain = new ArrayList<>(factory.generateCertificates(leaf));
      crls = factory.generateCRLs(lists);
    }
    for (Object crl : crls) {
      // Parses the whole CRL.
      ((X509CRL) crl).getRevokedCertificates();
    }
    CertPathValidator validator = CertPathValidator.getInstance("PKIX");
    PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
    checker.setOptions(
        EnumSet.of(
            PKIXRevocationChecker.Option.PREFER_CRLS,
            PKIXRevocationChecker.Option.NO_FALLBACK,
            PKIXRevocationChecker.Option.ONLY_END_ENTITY));
    PKIXParameters parameters = new PKIXParameters(anchors);
    parameters.addCertPathChecker(checker);
    parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(crls)));
    validator.validate(factory.generateCertPath(chain), parameters);
  }
}
