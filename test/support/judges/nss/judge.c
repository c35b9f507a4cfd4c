/* Checks certificates with NSS, one question a line, see program.ts. It uses PKIX, like certutil -V and vfychain -p. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cert.h>
#include <nss.h>
#include <nssb64.h>
#include <prerror.h>
#include <secerr.h>
#include <secitem.h>

enum { FIELDS = 7, MOST_CERTIFICATES = 10 };

/* A name mismatch is an error of libssl, and NSPR has no names for the errors of libssl. */
static const char *error_name(void) {
  static char number[32];
  const char *name = PORT_ErrorToName(PORT_GetError());
  snprintf(number, sizeof number, "error %d", PORT_GetError());
  return name == NULL ? number : name;
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, error_name());
  exit(1);
}

static char *read_file(const char *path) {
  static char text[1 << 17];
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

/* The certificates of a PEM file. NSS knows them until they are destroyed. */
static int read_certificates(const char *path, CERTCertificate **certificates) {
  static const char begin[] = "-----BEGIN CERTIFICATE-----";
  int count = 0;
  for (char *rest = read_file(path); (rest = strstr(rest, begin)) != NULL;) {
    rest += strlen(begin);
    char *end = strstr(rest, "-----END");
    if (end == NULL || count == MOST_CERTIFICATES) fail(path);
    SECItem der = {siBuffer, NULL, 0};
    if (NSSBase64_DecodeBuffer(NULL, &der, rest, (unsigned)(end - rest)) == NULL) fail(path);
    certificates[count] = CERT_NewTempCertificate(CERT_GetDefaultCertDB(), &der, NULL, PR_FALSE, PR_TRUE);
    SECITEM_FreeItem(&der, PR_FALSE);
    if (certificates[count++] == NULL) fail(path);
    rest = end;
  }
  return count;
}

static SECCertificateUsage usage_of(const char *usage) {
  if (strcmp(usage, "server") == 0) return certificateUsageSSLServer;
  return strcmp(usage, "client") == 0 ? certificateUsageSSLClient : certificateUsageEmailSigner;
}

/* NULL if the certificate is valid, otherwise the reason. */
static const char *verify(char **fields) {
  CERTCertificate *chain[MOST_CERTIFICATES], *roots[MOST_CERTIFICATES];
  char path[4096];
  snprintf(path, sizeof path, "%s/tls.crt", fields[2]);
  int chain_length = read_certificates(path, chain);
  int root_count = read_certificates(fields[3], roots);

  CERTCertList *anchors = CERT_NewCertList();
  for (int i = 0; i < root_count; i++) CERT_AddCertToListTail(anchors, CERT_DupCertificate(roots[i]));
  /* Disables CRLs and OCSP. Without this parameter NSS refuses every certificate. */
  PRUint64 none[cert_revocation_method_count] = {0};
  CERTRevocationTests no_tests = {cert_revocation_method_count, none, 0, NULL, 0};
  CERTRevocationFlags revocation = {no_tests, no_tests};
  CERTValInParam in[] = {
      {.type = cert_pi_trustAnchors, .value.pointer.chain = anchors},
      {.type = cert_pi_useOnlyTrustAnchors, .value.scalar.b = PR_TRUE},
      {.type = cert_pi_revocationFlags, .value.pointer.revocation = &revocation},
      {.type = cert_pi_date, .value.scalar.time = (PRTime)atoll(fields[6]) * PR_USEC_PER_SEC},
      {.type = cert_pi_end},
  };
  CERTValOutParam out[] = {{.type = cert_po_end}};
  SECStatus status = CERT_PKIXVerifyCert(chain[0], usage_of(fields[4]), in, out, NULL);
  const char *name = strchr(fields[5], ':');
  if (status == SECSuccess && name != NULL) status = CERT_VerifyCertName(chain[0], name + 1);
  const char *refusal = status == SECSuccess ? NULL : error_name();

  CERT_DestroyCertList(anchors);
  for (int i = 0; i < chain_length; i++) CERT_DestroyCertificate(chain[i]);
  for (int i = 0; i < root_count; i++) CERT_DestroyCertificate(roots[i]);
  return refusal;
}

int main(void) {
  if (NSS_NoDB_Init(NULL) != SECSuccess) fail("NSS");
  static char line[16384];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char *fields[FIELDS], *rest = line;
    for (int i = 0; i < FIELDS; i++) fields[i] = strsep(&rest, "\t");
    const char *refusal = verify(fields);
    printf("%s\t%s\t%s\n", fields[0], refusal == NULL ? "yes" : "no", refusal == NULL ? "" : refusal);
  }
  return NSS_Shutdown() == SECSuccess ? 0 : 1;
}
