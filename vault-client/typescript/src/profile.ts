/**
 * Profiles: the config file of `vaultctl`, which says which identity a name stands for.
 *
 *     default_profile = "bot"
 *
 *     [profile."bot"]
 *     identity = "/home/alice/.config/countersign/identities/bot"
 *     address = "vault.example:7443"          # only to use another than the identity's own
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { ProfileError } from './errors.js';
import { Identity } from './identity.js';

/**
 * What a program may give for its identity: the identity itself; its folder, as `{ folder: path }` or a file
 * URL; the name of a profile, as text; or nothing, for the default profile.
 */
export type IdentityLike = Identity | URL | { readonly folder: string } | string | undefined;

/**
 * The identity that is meant. `config` is the config file, if not the usual one.
 *
 * Throws {@link ProfileError}, {@link IdentityError}.
 */
export function identityOf(source?: IdentityLike, config?: string): Identity {
  if (source instanceof Identity) return source;
  if (source instanceof URL) return Identity.load(fileURLToPath(source));
  if (typeof source === 'object') return Identity.load(source.folder);
  const path = config ?? configPath();
  const profile = profileOf(profiles(path), source, path);
  const identity = Identity.load(resolve(dirname(path), profile.identity));
  return profile.address === undefined ? identity : identity.withAddress(profile.address);
}

/**
 * Where the config file is or would be: `$XDG_CONFIG_HOME/countersign/config.toml`, else under
 * `$HOME/.config`.
 */
export function configPath(): string {
  const base = process.env['XDG_CONFIG_HOME'];
  const home = process.env['HOME'];
  if (!base && !home) throw new ProfileError('neither XDG_CONFIG_HOME nor HOME is set');
  return join(base || join(home ?? '', '.config'), 'countersign', 'config.toml');
}

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function profiles(path: string): Table {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ProfileError(
      code === 'ENOENT' ? `there is no ${path}; vaultctl enroll makes it` : `${path}: ${code}`,
    );
  }
  try {
    return parse(text);
  } catch (error) {
    throw new ProfileError(`${path}: ${(error as Error).message.split('\n')[0]}`);
  }
}

function profileOf(
  config: Table,
  name: string | undefined,
  path: string,
): { identity: string; address?: string } {
  const known = config['profile'] ?? {};
  if (!isTable(known) || !Object.values(known).every(isTable)) {
    throw new ProfileError(`${path}: profile is no table of tables`);
  }
  const wanted = name ?? config['default_profile'];
  const only = Object.keys(known).length === 1 ? Object.keys(known)[0] : undefined;
  const chosen = wanted ?? only;
  if (chosen === undefined) throw new ProfileError(`${path} names no default_profile`);
  if (typeof chosen !== 'string' || !Object.hasOwn(known, chosen)) {
    const isPath = typeof chosen === 'string' && (isAbsolute(chosen) || chosen.includes(sep));
    const hint = isPath ? '; a folder is given as { folder: path }' : '';
    throw new ProfileError(`there is no profile ${JSON.stringify(chosen)} in ${path}${hint}`);
  }
  const profile = known[chosen] as Table;
  const { identity, address, ...unknown } = profile;
  if (
    Object.keys(unknown).length > 0 ||
    typeof identity !== 'string' ||
    (address !== undefined && typeof address !== 'string')
  ) {
    throw new ProfileError(`${path}: a profile has identity, and perhaps address: texts`);
  }
  return address === undefined ? { identity } : { identity, address };
}
