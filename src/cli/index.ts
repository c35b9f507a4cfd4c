export type { ImportOptions } from './import/certificate-conversion.ts';
export { usageTable } from './import/certificate-conversion.ts';
export {
  type Conversion,
  type ConvertedAuthority,
  convertCertManager,
  type Manifest,
  type ObjectRef,
} from './import/conversion.ts';
export { copyCommand, markdownReport, objectName, summary, textReport } from './import/import-report.ts';
export { certificateFields, certManagerVersion, issuerFields, type SourceField } from './import/source-fields.ts';
