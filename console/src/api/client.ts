// Made by tools/generate-client.ts from docs/reference/openapi.json. Not edited by hand.

/** A failure as the server words it. Network failures have the code `network`. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Every call ends in one of two ways; it never throws, except when its signal aborts. */
export type Answered<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Refusal };

export type ListArtifactsAnswer = {
  readonly items: readonly ({
    readonly artifact: string;
    readonly repository: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
    };
    readonly commit: string;
    readonly references: readonly string[];
    readonly fileCount: number;
    readonly sizeBytes: number;
    readonly presentCount: number;
    readonly verdict: "clean" | "suspicious" | "malicious" | "unknown";
    readonly completeness: "complete" | "inconclusive";
    readonly decision: {
      readonly verdict: "allow" | "warn" | "deny";
      readonly environment: "development" | "staging" | "production";
      readonly at: string;
      readonly validUntil: string | null;
    } | null;
    readonly tier: "low" | "medium" | "high";
  })[];
  readonly next: string | null;
};

export type ListArtifactsQuery = {
  readonly search?: string;
  readonly limit?: string;
  readonly before?: string;
};

export type ShowArtifactAnswer = {
  readonly artifact: string;
  readonly roots: {
    readonly all: string | null;
    readonly loading: string | null;
    readonly weights: string | null;
  };
  readonly snapshots: readonly ({
    readonly repository: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
    };
    readonly commit: string;
    readonly references: readonly string[];
    readonly provisional: boolean;
  })[];
  readonly tier: "low" | "medium" | "high";
  readonly files: readonly ({
    readonly path: string;
    readonly digest: string;
    readonly sizeBytes: number;
    readonly role: "weights" | "steering" | "documentation";
    readonly present: boolean;
    readonly scan: {
      readonly verdict: "clean" | "suspicious" | "malicious" | "unknown";
      readonly completeness: "complete" | "inconclusive";
      readonly formats: readonly string[];
      readonly findings: readonly ({
        readonly ruleId: string;
        readonly severity: "low" | "medium" | "high" | "critical";
        readonly message: string;
        readonly location: {
          readonly member?: string;
          readonly offset?: number;
          readonly opcode?: number;
          readonly pointer?: string;
          readonly path?: string;
        };
        readonly remedy: string;
      })[];
    } | null;
  })[];
  readonly findings: readonly ({
    readonly ruleId: string;
    readonly severity: "low" | "medium" | "high" | "critical";
    readonly message: string;
    readonly location: {
      readonly member?: string;
      readonly offset?: number;
      readonly opcode?: number;
      readonly pointer?: string;
      readonly path?: string;
    };
    readonly remedy: string;
  })[];
  readonly evidence: readonly ({
    readonly logIndex: number;
    readonly envelopeDigest: string;
    readonly predicateType: string;
    readonly at: string | null;
    readonly summary: string;
    readonly issuerRole: string;
  })[];
  readonly decisions: readonly ({
    readonly environment: "development" | "staging" | "production";
    readonly decision: {
      readonly version: 1;
      readonly question: {
        readonly principal: string;
        readonly action: string;
        readonly artifact: string;
        readonly files: readonly string[] | null;
        readonly namespace: string;
        readonly environment: "development" | "staging" | "production";
      };
      readonly verdict: "allow" | "warn" | "deny";
      readonly reasons: readonly ({
        readonly rule: string;
        readonly effect: "allow" | "warn" | "deny";
        readonly message: string;
        readonly evidence: readonly string[];
        readonly missing: string | null;
        readonly who: string;
        readonly remedy: string;
      })[];
      readonly evidenceUsed: readonly string[];
      readonly policyDigest: string;
      readonly trustDigest: string;
      readonly checkpoint: {
        readonly size: number;
        readonly rootHash: string;
      };
      readonly at: string;
      readonly validUntil: string | null;
    };
    readonly explanation: string;
    readonly logIndex: number;
    readonly envelopeDigest: string;
  })[];
};

export type ApproveArtifactAnswer = {
  readonly logIndex: number;
  readonly envelopeDigest: string;
};

export type ApproveArtifactBody = {
  readonly reason: string;
  readonly root: "all" | "loading" | "weights";
  readonly environments: readonly ("development" | "staging" | "production")[];
  readonly expiresAt: string | null;
};

export type DenyArtifactAnswer = {
  readonly logIndex: number;
  readonly envelopeDigest: string;
};

export type DenyArtifactBody = {
  readonly reason: string;
};

export type AskDecisionAnswer = {
  readonly environment: "development" | "staging" | "production";
  readonly decision: {
    readonly version: 1;
    readonly question: {
      readonly principal: string;
      readonly action: string;
      readonly artifact: string;
      readonly files: readonly string[] | null;
      readonly namespace: string;
      readonly environment: "development" | "staging" | "production";
    };
    readonly verdict: "allow" | "warn" | "deny";
    readonly reasons: readonly ({
      readonly rule: string;
      readonly effect: "allow" | "warn" | "deny";
      readonly message: string;
      readonly evidence: readonly string[];
      readonly missing: string | null;
      readonly who: string;
      readonly remedy: string;
    })[];
    readonly evidenceUsed: readonly string[];
    readonly policyDigest: string;
    readonly trustDigest: string;
    readonly checkpoint: {
      readonly size: number;
      readonly rootHash: string;
    };
    readonly at: string;
    readonly validUntil: string | null;
  };
  readonly explanation: string;
};

export type AskDecisionBody = {
  readonly artifact: string;
  readonly action: "pull" | "promote" | "deploy" | "load" | "serve";
  readonly environment: "development" | "staging" | "production";
  readonly files: readonly string[] | null;
};

export type PromoteArtifactAnswer = {
  readonly decision: {
    readonly version: 1;
    readonly question: {
      readonly principal: string;
      readonly action: string;
      readonly artifact: string;
      readonly files: readonly string[] | null;
      readonly namespace: string;
      readonly environment: "development" | "staging" | "production";
    };
    readonly verdict: "allow" | "warn" | "deny";
    readonly reasons: readonly ({
      readonly rule: string;
      readonly effect: "allow" | "warn" | "deny";
      readonly message: string;
      readonly evidence: readonly string[];
      readonly missing: string | null;
      readonly who: string;
      readonly remedy: string;
    })[];
    readonly evidenceUsed: readonly string[];
    readonly policyDigest: string;
    readonly trustDigest: string;
    readonly checkpoint: {
      readonly size: number;
      readonly rootHash: string;
    };
    readonly at: string;
    readonly validUntil: string | null;
  };
  readonly bundle: string | null;
};

export type PromoteArtifactBody = {
  readonly environment: "development" | "staging" | "production";
};

export type ListNamespacesAnswer = {
  readonly items: readonly ({
    readonly namespace: string;
    readonly environment: "development" | "staging" | "production";
  })[];
};

export type SetNamespaceAnswer = {
  readonly namespace: string;
  readonly environment: "development" | "staging" | "production";
};

export type SetNamespaceBody = {
  readonly namespace: string;
  readonly environment: "development" | "staging" | "production";
};

export type ListTokensAnswer = {
  readonly items: readonly ({
    readonly id: string;
    readonly name: string;
    readonly role: string;
    readonly environment: "development" | "staging" | "production" | null;
    readonly createdAt: string;
    readonly expiresAt: string | null;
    readonly revokedAt: string | null;
  })[];
};

export type ListTokensQuery = {
  readonly namespace: string;
};

export type CreateTokenAnswer = {
  readonly token: string;
  readonly id: string;
};

export type CreateTokenBody = {
  readonly namespace: string;
  readonly name: string;
  readonly environment: "development" | "staging" | "production" | null;
  readonly expiresAt: string | null;
};

export type RevokeTokenAnswer = {
  readonly revoked: string;
};

export type RevokeTokenBody = {
  readonly namespace: string;
  readonly id: string;
};

export type StartIntakeAnswer = {
  readonly id: string;
};

export type StartIntakeBody = {
  readonly source: string | readonly string[];
  readonly as?: string;
  readonly type?: "models" | "datasets";
  readonly reference?: string;
  readonly environment?: "development" | "staging" | "production";
  readonly sha256?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly include?: string;
};

export type ListIntakesAnswer = {
  readonly items: readonly ({
    readonly id: string;
    readonly state: "uploading" | "waiting" | "running" | "done" | "failed";
    readonly source: string;
    readonly repository: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
    };
    readonly reference: string;
    readonly environment: "development" | "staging" | "production";
    readonly progress: {
      readonly files: number;
      readonly bytes: number;
      readonly totalFiles: number | null;
      readonly totalBytes: number | null;
    };
    readonly commit: string | null;
    readonly artifact: string | null;
    readonly fault: {
      readonly code: string;
      readonly message: string;
      readonly hint: string | null;
    } | null;
    readonly createdAt: string;
    readonly finishedAt: string | null;
  })[];
};

export type ListIntakesQuery = {
  readonly limit?: string;
};

export type ShowIntakeAnswer = {
  readonly id: string;
  readonly state: "uploading" | "waiting" | "running" | "done" | "failed";
  readonly source: string;
  readonly repository: {
    readonly type: "models" | "datasets" | "spaces";
    readonly id: string;
  };
  readonly reference: string;
  readonly environment: "development" | "staging" | "production";
  readonly progress: {
    readonly files: number;
    readonly bytes: number;
    readonly totalFiles: number | null;
    readonly totalBytes: number | null;
  };
  readonly commit: string | null;
  readonly artifact: string | null;
  readonly fault: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
  } | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
  readonly outcome: {
    readonly verdict: "allow" | "warn" | "deny";
    readonly explanation: string;
    readonly scan: "clean" | "suspicious" | "malicious" | "unknown";
    readonly completeness: "complete" | "inconclusive";
    readonly findings: number;
    readonly link: string;
  } | null;
};

export type CompleteUploadAnswer = {
  readonly id: string;
};

export type ShowQueueAnswer = {
  readonly at: string;
  readonly arriving: readonly ({
    readonly repository: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
    };
    readonly commit: string;
    readonly artifact: string | null;
    readonly phase: "listing" | "fetching" | "inspecting";
    readonly since: string;
    readonly why: string;
    readonly paths: readonly string[];
    readonly pathCount: number;
    readonly transfers: readonly ({
      readonly path: string;
      readonly state: "waiting" | "fetching" | "following" | "verifying";
      readonly since: string;
      readonly sizeBytes: number;
      readonly receivedBytes: number;
      readonly readers: number;
    })[];
  })[];
  readonly arrivingCount: number;
  readonly held: readonly ({
    readonly repository: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
    };
    readonly commit: string;
    readonly artifact: string;
    readonly environment: string;
    readonly since: string;
    readonly reasons: readonly {
      readonly rule: string;
      readonly message: string;
      readonly who: string;
      readonly remedy: string;
    }[];
  })[];
};

export type RunSandboxAnswer = {
  readonly state: "none" | "waiting" | "running" | "done" | "failed";
  readonly fault: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
  } | null;
  readonly finding: {
    readonly outcome: "quiet" | "acted" | "failed" | "inconclusive";
    readonly acts: readonly string[];
    readonly reasons: readonly string[];
    readonly exercisedAt: string;
    readonly evidence: string;
    readonly logIndex: number;
  } | null;
};

export type ShowSandboxAnswer = {
  readonly state: "none" | "waiting" | "running" | "done" | "failed";
  readonly fault: {
    readonly code: string;
    readonly message: string;
    readonly hint: string | null;
  } | null;
  readonly finding: {
    readonly outcome: "quiet" | "acted" | "failed" | "inconclusive";
    readonly acts: readonly string[];
    readonly reasons: readonly string[];
    readonly exercisedAt: string;
    readonly evidence: string;
    readonly logIndex: number;
  } | null;
};

export type ShowUpstreamsAnswer = {
  readonly upstreams: readonly ({
    readonly kind: "hub";
    readonly host: string;
    readonly role: "upstream" | "redirect";
    readonly state: "well" | "limited" | "away";
    readonly requests: number;
    readonly failures: number;
    readonly lastSuccessAt: string | null;
    readonly lastFailure: {
      readonly at: string;
      readonly message: string;
    } | null;
    readonly active: number;
    readonly waiting: number;
    readonly rateLimit: {
      readonly remaining: number;
      readonly resetsAt: string | null;
    } | null;
    readonly incidents24h: number;
  })[];
  readonly incidents: readonly ({
    readonly at: string;
    readonly upstream: string;
    readonly kind: string;
    readonly source: string;
    readonly path: string | null;
    readonly message: string;
    readonly logIndex: number;
  })[];
};

export type TriageRepositoryAnswer = {
  readonly kind: "triage";
  readonly repository: {
    readonly type: "models" | "datasets" | "spaces";
    readonly id: string;
    readonly revision: string;
    readonly commit: string;
  };
  readonly verdict: "malicious" | "suspicious" | "nothing found";
  readonly completeness: "complete" | "inconclusive";
  readonly bytesCovered: number;
  readonly bytesTotal: number;
  readonly bytesFetched: number;
  readonly requests: number;
  readonly scanner: {
    readonly name: string;
    readonly version: string;
    readonly ruleSetDigest: string;
  };
  readonly files: readonly ({
    readonly path: string;
    readonly format: string;
    readonly verdict: "malicious" | "suspicious" | "nothing found";
    readonly completeness: "complete" | "inconclusive";
    readonly incompleteReasons: readonly string[];
    readonly declaredSha256: string | null;
    readonly sizeBytes: number;
    readonly bytesCovered: number;
    readonly findings: readonly ({
      readonly ruleId: string;
      readonly severity: "low" | "medium" | "high" | "critical";
      readonly message: string;
      readonly location: {
        readonly member?: string;
        readonly offset?: number;
        readonly opcode?: number;
        readonly pointer?: string;
        readonly path?: string;
      };
      readonly remedy: string;
    })[];
  })[];
};

export type TriageRepositoryBody = {
  readonly type: "models" | "datasets" | "spaces";
  readonly repository: string;
  readonly revision: string | null;
};

export type KeepAdoptionAnswer = {
  readonly id: string;
  readonly lookedAt: string;
  readonly keptAt: string;
  readonly logIndex: number;
  readonly complete: boolean;
  readonly models: number;
  readonly files: number;
  readonly sizeBytes: number;
  readonly origins: {
    readonly proved: number;
    readonly claimed: number;
    readonly contradicted: number;
    readonly unknown: number;
  };
  readonly risks: {
    readonly critical: number;
    readonly high: number;
    readonly medium: number;
    readonly low: number;
  };
};

export type KeepAdoptionBody = {
  readonly version: 1;
  readonly at: string;
  readonly scanner: {
    readonly name: string;
    readonly version: string;
    readonly ruleSetDigest: string;
  };
  readonly roots: readonly string[];
  readonly complete: boolean;
  readonly incompleteReasons: readonly string[];
  readonly filesListed: boolean;
  readonly totals: {
    readonly models: number;
    readonly files: number;
    readonly sizeBytes: number;
    readonly distinctBytes: number;
    readonly duplicateBytes: number;
    readonly partialBytes: number;
    readonly unreferencedBytes: number;
    readonly origins: {
      readonly proved: number;
      readonly claimed: number;
      readonly contradicted: number;
      readonly unknown: number;
    };
    readonly risks: {
      readonly critical: number;
      readonly high: number;
      readonly medium: number;
      readonly low: number;
    };
  };
  readonly work: {
    readonly filesHashed: number;
    readonly filesKnown: number;
    readonly bytesHashed: number;
    readonly blobsScanned: number;
  };
  readonly models: readonly ({
    readonly name: string;
    readonly layout: "hub-cache" | "hub-folder" | "ollama" | "folder";
    readonly location: string;
    readonly source: {
      readonly type: "models" | "datasets" | "spaces";
      readonly id: string;
      readonly commit: string | null;
      readonly references: readonly string[];
    } | null;
    readonly artifact: string | null;
    readonly fileCount: number;
    readonly sizeBytes: number;
    readonly origin: {
      readonly state: "proved" | "claimed" | "contradicted" | "unknown";
      readonly detail: string;
    };
    readonly verdict: "clean" | "suspicious" | "malicious";
    readonly completeness: "complete" | "inconclusive";
    readonly formats: readonly string[];
    readonly risks: {
      readonly critical: number;
      readonly high: number;
      readonly medium: number;
      readonly low: number;
    };
    readonly files: readonly ({
      readonly path: string;
      readonly sizeBytes: number;
      readonly digest: string | null;
      readonly role: "weights" | "steering" | "documentation";
      readonly formats: readonly string[];
      readonly verdict: "clean" | "suspicious" | "malicious";
      readonly completeness: "complete" | "inconclusive";
    })[];
  })[];
  readonly risks: readonly ({
    readonly severity: "critical" | "high" | "medium" | "low";
    readonly kind: "malicious" | "suspicious" | "altered" | "unlisted" | "outside-link" | "unknown-origin" | "unread" | "inconclusive" | "pickle-beside-safetensors" | "remote-code" | "moved-reference" | "duplicate" | "unreferenced" | "partial" | "world-writable";
    readonly model: number | null;
    readonly rule: string | null;
    readonly message: string;
    readonly remedy: string;
    readonly count: number;
    readonly paths: readonly string[];
  })[];
};

export type ListAdoptionsAnswer = {
  readonly items: readonly {
    readonly id: string;
    readonly lookedAt: string;
    readonly keptAt: string;
    readonly logIndex: number;
    readonly complete: boolean;
    readonly models: number;
    readonly files: number;
    readonly sizeBytes: number;
    readonly origins: {
      readonly proved: number;
      readonly claimed: number;
      readonly contradicted: number;
      readonly unknown: number;
    };
    readonly risks: {
      readonly critical: number;
      readonly high: number;
      readonly medium: number;
      readonly low: number;
    };
  }[];
  readonly next: string | null;
};

export type ListAdoptionsQuery = {
  readonly before?: string;
};

export type ShowAdoptionAnswer = {
  readonly adoption: {
    readonly id: string;
    readonly lookedAt: string;
    readonly keptAt: string;
    readonly logIndex: number;
    readonly complete: boolean;
    readonly models: number;
    readonly files: number;
    readonly sizeBytes: number;
    readonly origins: {
      readonly proved: number;
      readonly claimed: number;
      readonly contradicted: number;
      readonly unknown: number;
    };
    readonly risks: {
      readonly critical: number;
      readonly high: number;
      readonly medium: number;
      readonly low: number;
    };
  };
  readonly report: {
    readonly version: 1;
    readonly at: string;
    readonly scanner: {
      readonly name: string;
      readonly version: string;
      readonly ruleSetDigest: string;
    };
    readonly roots: readonly string[];
    readonly complete: boolean;
    readonly incompleteReasons: readonly string[];
    readonly filesListed: boolean;
    readonly totals: {
      readonly models: number;
      readonly files: number;
      readonly sizeBytes: number;
      readonly distinctBytes: number;
      readonly duplicateBytes: number;
      readonly partialBytes: number;
      readonly unreferencedBytes: number;
      readonly origins: {
        readonly proved: number;
        readonly claimed: number;
        readonly contradicted: number;
        readonly unknown: number;
      };
      readonly risks: {
        readonly critical: number;
        readonly high: number;
        readonly medium: number;
        readonly low: number;
      };
    };
    readonly work: {
      readonly filesHashed: number;
      readonly filesKnown: number;
      readonly bytesHashed: number;
      readonly blobsScanned: number;
    };
    readonly models: readonly ({
      readonly name: string;
      readonly layout: "hub-cache" | "hub-folder" | "ollama" | "folder";
      readonly location: string;
      readonly source: {
        readonly type: "models" | "datasets" | "spaces";
        readonly id: string;
        readonly commit: string | null;
        readonly references: readonly string[];
      } | null;
      readonly artifact: string | null;
      readonly fileCount: number;
      readonly sizeBytes: number;
      readonly origin: {
        readonly state: "proved" | "claimed" | "contradicted" | "unknown";
        readonly detail: string;
      };
      readonly verdict: "clean" | "suspicious" | "malicious";
      readonly completeness: "complete" | "inconclusive";
      readonly formats: readonly string[];
      readonly risks: {
        readonly critical: number;
        readonly high: number;
        readonly medium: number;
        readonly low: number;
      };
      readonly files: readonly ({
        readonly path: string;
        readonly sizeBytes: number;
        readonly digest: string | null;
        readonly role: "weights" | "steering" | "documentation";
        readonly formats: readonly string[];
        readonly verdict: "clean" | "suspicious" | "malicious";
        readonly completeness: "complete" | "inconclusive";
      })[];
    })[];
    readonly risks: readonly ({
      readonly severity: "critical" | "high" | "medium" | "low";
      readonly kind: "malicious" | "suspicious" | "altered" | "unlisted" | "outside-link" | "unknown-origin" | "unread" | "inconclusive" | "pickle-beside-safetensors" | "remote-code" | "moved-reference" | "duplicate" | "unreferenced" | "partial" | "world-writable";
      readonly model: number | null;
      readonly rule: string | null;
      readonly message: string;
      readonly remedy: string;
      readonly count: number;
      readonly paths: readonly string[];
    })[];
  };
};

export type WhoamiAnswer = {
  readonly class: string;
  readonly namespace: string;
  readonly environment: "development" | "staging" | "production";
};

export type LogHeadAnswer = {
  readonly size: number;
  readonly rootHash: string;
  readonly checkpoint: string;
  readonly origin: string;
  readonly verifierKey: string;
  readonly trustFingerprint: string;
  readonly selfAsserted: boolean;
};

export interface Client {
  listArtifacts(query: ListArtifactsQuery, signal?: AbortSignal): Promise<Answered<ListArtifactsAnswer>>;
  showArtifact(digest: string, signal?: AbortSignal): Promise<Answered<ShowArtifactAnswer>>;
  approveArtifact(digest: string, body: ApproveArtifactBody, signal?: AbortSignal): Promise<Answered<ApproveArtifactAnswer>>;
  denyArtifact(digest: string, body: DenyArtifactBody, signal?: AbortSignal): Promise<Answered<DenyArtifactAnswer>>;
  askDecision(body: AskDecisionBody, signal?: AbortSignal): Promise<Answered<AskDecisionAnswer>>;
  promoteArtifact(digest: string, body: PromoteArtifactBody, signal?: AbortSignal): Promise<Answered<PromoteArtifactAnswer>>;
  listNamespaces(signal?: AbortSignal): Promise<Answered<ListNamespacesAnswer>>;
  setNamespace(body: SetNamespaceBody, signal?: AbortSignal): Promise<Answered<SetNamespaceAnswer>>;
  listTokens(query: ListTokensQuery, signal?: AbortSignal): Promise<Answered<ListTokensAnswer>>;
  createToken(body: CreateTokenBody, signal?: AbortSignal): Promise<Answered<CreateTokenAnswer>>;
  revokeToken(body: RevokeTokenBody, signal?: AbortSignal): Promise<Answered<RevokeTokenAnswer>>;
  startIntake(body: StartIntakeBody, signal?: AbortSignal): Promise<Answered<StartIntakeAnswer>>;
  listIntakes(query: ListIntakesQuery, signal?: AbortSignal): Promise<Answered<ListIntakesAnswer>>;
  showIntake(id: string, signal?: AbortSignal): Promise<Answered<ShowIntakeAnswer>>;
  completeUpload(id: string, signal?: AbortSignal): Promise<Answered<CompleteUploadAnswer>>;
  showQueue(signal?: AbortSignal): Promise<Answered<ShowQueueAnswer>>;
  runSandbox(digest: string, signal?: AbortSignal): Promise<Answered<RunSandboxAnswer>>;
  showSandbox(digest: string, signal?: AbortSignal): Promise<Answered<ShowSandboxAnswer>>;
  showUpstreams(signal?: AbortSignal): Promise<Answered<ShowUpstreamsAnswer>>;
  triageRepository(body: TriageRepositoryBody, signal?: AbortSignal): Promise<Answered<TriageRepositoryAnswer>>;
  keepAdoption(body: KeepAdoptionBody, signal?: AbortSignal): Promise<Answered<KeepAdoptionAnswer>>;
  listAdoptions(query: ListAdoptionsQuery, signal?: AbortSignal): Promise<Answered<ListAdoptionsAnswer>>;
  showAdoption(id: string, signal?: AbortSignal): Promise<Answered<ShowAdoptionAnswer>>;
  whoami(signal?: AbortSignal): Promise<Answered<WhoamiAnswer>>;
  logHead(signal?: AbortSignal): Promise<Answered<LogHeadAnswer>>;
}

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly signal: AbortSignal | undefined;
}

function addressOf(ask: Ask): string {
  const pairs = Object.entries(ask.query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return pairs.length === 0 ? ask.path : `${ask.path}?${new URLSearchParams(pairs).toString()}`;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const fallback = { status: response.status, code: 'unknown', message: response.statusText, hint: undefined };
  try {
    const { error } = (await response.json()) as { error?: Partial<Refusal> };
    return { ...fallback, ...error, status: response.status, hint: error?.hint };
  } catch {
    return fallback;
  }
}

/** Opens a client that sends the token with every call. Same origin only: paths are absolute, no base address. */
export function openClient(token: string): Client {
  // The types of the answers are the schemas that the server serialises with.
  const ask = async (request: Ask): Promise<Answered<never>> => {
    let response: Response;
    try {
      response = await fetch(addressOf(request), {
        method: request.method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
    } catch (error) {
      if (request.signal?.aborted === true) throw error;
      const message = 'the server did not answer';
      return { ok: false, refusal: { status: 0, code: 'network', message, hint: 'is it running?' } };
    }
    if (!response.ok) return { ok: false, refusal: await refusalOf(response) };
    return { ok: true, value: (await response.json()) as never };
  };
  return {
    listArtifacts: (query, signal) => ask({ method: 'GET', path: `/wb/v1/artifacts`, query, signal }),
    showArtifact: (digest, signal) => ask({ method: 'GET', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}`, signal }),
    approveArtifact: (digest, body, signal) => ask({ method: 'POST', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}/approve`, body, signal }),
    denyArtifact: (digest, body, signal) => ask({ method: 'POST', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}/deny`, body, signal }),
    askDecision: (body, signal) => ask({ method: 'POST', path: `/wb/v1/decisions`, body, signal }),
    promoteArtifact: (digest, body, signal) => ask({ method: 'POST', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}/promote`, body, signal }),
    listNamespaces: (signal) => ask({ method: 'GET', path: `/wb/v1/namespaces`, signal }),
    setNamespace: (body, signal) => ask({ method: 'POST', path: `/wb/v1/namespaces`, body, signal }),
    listTokens: (query, signal) => ask({ method: 'GET', path: `/wb/v1/tokens`, query, signal }),
    createToken: (body, signal) => ask({ method: 'POST', path: `/wb/v1/tokens`, body, signal }),
    revokeToken: (body, signal) => ask({ method: 'POST', path: `/wb/v1/tokens/revoke`, body, signal }),
    startIntake: (body, signal) => ask({ method: 'POST', path: `/wb/v1/intakes`, body, signal }),
    listIntakes: (query, signal) => ask({ method: 'GET', path: `/wb/v1/intakes`, query, signal }),
    showIntake: (id, signal) => ask({ method: 'GET', path: `/wb/v1/intakes/${encodeURIComponent(id)}`, signal }),
    completeUpload: (id, signal) => ask({ method: 'POST', path: `/wb/v1/uploads/${encodeURIComponent(id)}/complete`, signal }),
    showQueue: (signal) => ask({ method: 'GET', path: `/wb/v1/queue`, signal }),
    runSandbox: (digest, signal) => ask({ method: 'POST', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}/sandbox`, signal }),
    showSandbox: (digest, signal) => ask({ method: 'GET', path: `/wb/v1/artifacts/${encodeURIComponent(digest)}/sandbox`, signal }),
    showUpstreams: (signal) => ask({ method: 'GET', path: `/wb/v1/upstreams`, signal }),
    triageRepository: (body, signal) => ask({ method: 'POST', path: `/wb/v1/triage`, body, signal }),
    keepAdoption: (body, signal) => ask({ method: 'POST', path: `/wb/v1/adoptions`, body, signal }),
    listAdoptions: (query, signal) => ask({ method: 'GET', path: `/wb/v1/adoptions`, query, signal }),
    showAdoption: (id, signal) => ask({ method: 'GET', path: `/wb/v1/adoptions/${encodeURIComponent(id)}`, signal }),
    whoami: (signal) => ask({ method: 'GET', path: `/wb/v1/whoami`, signal }),
    logHead: (signal) => ask({ method: 'GET', path: `/wb/v1/log/head`, signal }),
  };
}
