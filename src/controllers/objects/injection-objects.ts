import { annotations, otherInjectors } from '../../api/constants.ts';
import { isObjectName } from '../../api/object-name.ts';
import {
  type ApiService,
  apiServices,
  type CustomResourceDefinition,
  customResourceDefinitions,
  type KubeObject,
  mutatingWebhookConfigurations,
  type Resource,
  validatingWebhookConfigurations,
  type WebhookConfiguration,
} from '../../kube/index.ts';
import { sha256Hex } from '../../pki/index.ts';
import { type InjectedContent, type InjectionKind, type InjectionRecord, injectionKinds } from '../../plan/index.ts';

/** A caBundle in an object: its JSON pointer and its value in base64. */
export interface BundleField {
  readonly path: string;
  readonly value: string | undefined;
}

/** How objects of one kind hold roots. */
interface InjectedKind {
  readonly resource: Resource<KubeObject>;
  /** The caBundles of an object, or why it has none. */
  readonly fieldsOf: (object: KubeObject) => readonly BundleField[] | { readonly obstacle: string };
}

const ofWebhooks = (object: KubeObject): readonly BundleField[] | { readonly obstacle: string } => {
  const { webhooks = [] } = object as WebhookConfiguration;
  if (webhooks.length === 0) return { obstacle: 'it has no webhooks' };
  return webhooks.map(({ clientConfig }, index) => ({
    path: `/webhooks/${index}/clientConfig/caBundle`,
    value: clientConfig.caBundle,
  }));
};

export const injectedKinds: Readonly<Record<InjectionKind, InjectedKind>> = {
  ValidatingWebhookConfiguration: { resource: validatingWebhookConfigurations, fieldsOf: ofWebhooks },
  MutatingWebhookConfiguration: { resource: mutatingWebhookConfigurations, fieldsOf: ofWebhooks },
  APIService: {
    resource: apiServices,
    fieldsOf(object) {
      const { spec } = object as ApiService;
      // The API server refuses a caBundle in both cases.
      if (spec?.service === undefined || spec.service === null)
        return { obstacle: 'it has no Service: the API server itself serves it' };
      if (spec.insecureSkipTLSVerify === true) return { obstacle: 'insecureSkipTLSVerify is true' };
      return [{ path: '/spec/caBundle', value: spec.caBundle }];
    },
  },
  CustomResourceDefinition: {
    resource: customResourceDefinitions,
    fieldsOf(object) {
      const config = (object as CustomResourceDefinition).spec.conversion?.webhook?.clientConfig;
      if (config === undefined) return { obstacle: 'it has no conversion webhook' };
      return [{ path: '/spec/conversion/webhook/clientConfig/caBundle', value: config.caBundle }];
    },
  },
};

/** The record of an object from its metadata. */
export function injectionRecord(kind: InjectionKind, { metadata }: KubeObject): InjectionRecord {
  const { name, uid = '', resourceVersion = '' } = metadata;
  const value = metadata.annotations?.[annotations.injectCaFrom];
  if (value === undefined) return { kind, name, resourceVersion };
  const otherInjector = otherInjectors.find((annotation) => metadata.annotations?.[annotation] !== undefined);
  // Any text can be there, of up to 256 KiB.
  const authority = isObjectName(value) ? value : '';
  const request = { uid, authority, ...(otherInjector === undefined ? {} : { otherInjector }) };
  return { kind, name, resourceVersion, request: { ...request, changedAtMs: Number.NEGATIVE_INFINITY } };
}

/** What the caBundles of a whole object hold. */
export function injectedContent(kind: InjectionKind, object: KubeObject): InjectedContent {
  const fields = injectedKinds[kind].fieldsOf(object);
  if ('obstacle' in fields) return fields;
  const values = new Set(fields.map(({ value = '' }) => value));
  const [value = ''] = values;
  const isEmpty = values.size === 1 && value === '';
  return values.size > 1 || isEmpty
    ? { isEmpty }
    : { isEmpty, bundle: sha256Hex(Buffer.from(value, 'base64').toString()) };
}

/** The key of an injected object in the queue of the trust controller. The name of an authority is never empty. */
export const injectionKey = (kind: InjectionKind, name: string): string => `/${kind}/${name}`;

/** The object of a key; undefined for the key of another target. */
export function injectionOf(key: string): { readonly kind: InjectionKind; readonly name: string } | undefined {
  const [authority, kindName, name = ''] = key.split('/');
  const kind = injectionKinds.find((one) => one === kindName);
  return authority === '' && kind !== undefined ? { kind, name } : undefined;
}
