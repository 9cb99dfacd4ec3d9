// An OpenID provider for tests: oidc-provider with the people and clients of
// the JSON file named on the command line, and login pages of plain forms.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [entry, file] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(entry));
const { issuer, port, people, clients, claimsInIDToken } = JSON.parse(readFileSync(file, 'utf8'));

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const byEmail = new Map(people.map((p) => [p.email, p]));
const bySubject = new Map(people.map((p) => [p.subject, p]));

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [{ ...rsa.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'test' }] },
  cookies: { keys: ['servertest'] },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'given_name', 'family_name'],
  },
  conformIdTokenClaims: !claimsInIDToken,
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount(ctx, subject) {
    const p = bySubject.get(subject);
    return p && {
      accountId: subject,
      claims: () => ({
        sub: subject,
        email: p.email,
        email_verified: p.emailVerified,
        name: `${p.givenName} ${p.familyName}`,
        given_name: p.givenName,
        family_name: p.familyName,
      }),
    };
  },
  // Consent is the enterprise's, given when it set the client up.
  async loadExistingGrant(ctx) {
    const { client, session, provider } = ctx.oidc;
    const known = session.grantIdFor(client.clientId);
    if (known) return provider.Grant.find(known);
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});

const escape = (s) => s.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(res, status, hint, message) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
  res.end(`<!doctype html><html lang="en"><title>Sign in to the provider</title><h1>Sign in</h1>
<p role="alert">${escape(message)}</p><form method="post">
<label>Address <input name="login" value="${escape(hint)}"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign in</button></form></html>`);
}

async function interaction(req, res) {
  const { params } = await provider.interactionDetails(req, res);
  const hint = params.login_hint ?? '';
  if (req.method !== 'POST') return page(res, 200, hint, '');
  let body = '';
  for await (const chunk of req) body += chunk;
  const form = new URLSearchParams(body);
  const p = byEmail.get(form.get('login'));
  if (!p || p.password !== form.get('password')) return page(res, 403, hint, 'That did not match.');
  await provider.interactionFinished(req, res, { login: { accountId: p.subject } });
}

const rest = provider.callback();
createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) return rest(req, res);
  interaction(req, res).catch((err) => page(res, 400, '', err.message));
}).listen(port, '127.0.0.1', () => console.log('listening'));
