// The PowerShell that an administrator runs on an Exchange server: what only that side can see. Pure.
import type { Config } from "../../config/types.ts";

/** @param config of the node that Exchange is to reach */
export function exchangeScript({ public: { exchangeUrl } }: Config): string {
  const { hostname, port } = new URL(exchangeUrl);
  const url = quote(exchangeUrl);
  return `# Checked against vendor documentation only.
# Run in the Exchange Management Shell on each Mailbox server. It changes nothing.
$url  = ${url}
$name = ${quote(hostname)}
$port = ${port === "" ? 443 : port}

# 1. Does the name resolve, and is the port open?
Resolve-DnsName -Name $name | Format-Table Name, Type, IPAddress
Test-NetConnection -ComputerName $name -Port $port | Format-List ComputerName, RemoteAddress, TcpTestSucceeded

# 2. Is the certificate trusted by this server's machine store? It prints "None", or what is wrong with it.
$client = New-Object System.Net.Sockets.TcpClient($name, $port)
try {
  $check = { param($sender, $certificate, $chain, $errors) Write-Host "Certificate errors: $errors"; $true }
  $stream = New-Object System.Net.Security.SslStream($client.GetStream(), $false, $check)
  $stream.AuthenticateAsClient($name)
  Write-Host "Protocol: $($stream.SslProtocol), certificate: $($stream.RemoteCertificate.Subject), issued by $($stream.RemoteCertificate.Issuer)"
} finally { $client.Dispose() }

# 3. Does Inboxbell answer? Expected: 200 and "ok". Anything else comes from something in between.
Invoke-WebRequest -UseBasicParsing -Uri "$url/livez" | Format-List StatusCode, Content

# 4. Would EWS go through a proxy to get there? Expected: nothing, or a proxy whose bypass list has $name.
Select-String -Path "$env:ExchangeInstallPath\\ClientAccess\\exchweb\\ews\\web.config" -Pattern 'defaultProxy|proxyaddress|bypasslist'

# 5. May mailboxes hold push subscriptions? Expected: not 0.
Get-ThrottlingPolicy | Format-Table Name, EwsMaxSubscriptions

# 6. What EWS has to say about deliveries: 5 first failure, 6 retry failed, 7 given up, 22 reading events failed.
Get-WinEvent -FilterHashtable @{ LogName = 'Application'; ProviderName = 'MSExchange Web Services'; Id = 5, 6, 7, 22 } -MaxEvents 20 -ErrorAction SilentlyContinue |
  Format-List TimeCreated, Id, Message`;
}

/** A PowerShell text: in single quotes nothing is expanded. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
