import type { ImageSpec } from '../../../tools/node/node.ts';
import { programPath } from '../../../tools/node/unavailable.ts';

/** A shell and the commands that the examples use. */
const shell = (...commands: readonly string[]) => ({
  programs: { '/bin/sh': programPath('busybox') ?? '' },
  files: Object.fromEntries(commands.map((command) => [`/bin/${command}`, { link: 'sh' }] as const)),
});

/** The settings that the image of deploy/examples has for a user without rights. */
const NGINX_CONF = `pid /tmp/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path /tmp/${name};`).join('\n  ')}
  include /etc/nginx/conf.d/*.conf;
}
`;

/** The images of deploy/examples/pod-certificates.yaml, with the programs of this machine. */
export function exampleImages(): readonly ImageSpec[] {
  const nginx = shell('readlink', 'sleep');
  const curl = shell('sleep');
  return [
    {
      name: 'docker.io/nginxinc/nginx-unprivileged:stable-alpine',
      programs: { ...nginx.programs, '/usr/sbin/nginx': programPath('nginx') ?? '' },
      files: { ...nginx.files, '/etc/nginx/nginx.conf': { text: NGINX_CONF } },
    },
    {
      name: 'docker.io/curlimages/curl:8.11.1',
      programs: { ...curl.programs, '/usr/bin/curl': programPath('curl') ?? '' },
      files: curl.files,
    },
  ];
}
