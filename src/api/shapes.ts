// Generated from crds/ by `npm run generate`. Do not edit.
import type { Shape } from './shape.ts';

/** What is to be found under spec and status of each kind. */
export const shapes = {
  "MtlsAuthority": {
    "spec": {
      "fields": {
        "secretName": "string",
        "root": {
          "fields": {
            "commonName": "string",
            "organizations": {
              "list": "string"
            },
            "privateKey": {
              "fields": {
                "algorithm": "string",
                "size": "integer"
              },
              "always": [
                "algorithm"
              ]
            },
            "duration": "string",
            "renewBefore": "string"
          },
          "always": [
            "commonName",
            "privateKey",
            "duration"
          ]
        },
        "trustDomain": "string",
        "clusterDomain": "string",
        "issuance": {
          "fields": {
            "maxDuration": "string",
            "namespaceSelector": {
              "fields": {
                "matchLabels": {
                  "map": "string"
                },
                "matchExpressions": {
                  "list": {
                    "fields": {
                      "key": "string",
                      "operator": "string",
                      "values": {
                        "list": "string"
                      }
                    },
                    "always": [
                      "key",
                      "operator"
                    ]
                  }
                }
              },
              "always": []
            },
            "allow": {
              "list": {
                "fields": {
                  "namespaceSelector": {
                    "fields": {
                      "matchLabels": {
                        "map": "string"
                      },
                      "matchExpressions": {
                        "list": {
                          "fields": {
                            "key": "string",
                            "operator": "string",
                            "values": {
                              "list": "string"
                            }
                          },
                          "always": [
                            "key",
                            "operator"
                          ]
                        }
                      }
                    },
                    "always": []
                  },
                  "dnsNames": {
                    "list": "string"
                  },
                  "ipRanges": {
                    "list": "string"
                  },
                  "uris": {
                    "list": "string"
                  },
                  "emailAddresses": {
                    "list": "string"
                  },
                  "commonNames": {
                    "list": "string"
                  },
                  "otherNames": {
                    "list": {
                      "fields": {
                        "oid": "string",
                        "utf8Values": {
                          "list": "string"
                        }
                      },
                      "always": [
                        "oid",
                        "utf8Values"
                      ]
                    }
                  },
                  "subject": {
                    "fields": {
                      "organizations": {
                        "list": "string"
                      },
                      "organizationalUnits": {
                        "list": "string"
                      },
                      "countries": {
                        "list": "string"
                      },
                      "localities": {
                        "list": "string"
                      },
                      "provinces": {
                        "list": "string"
                      },
                      "streetAddresses": {
                        "list": "string"
                      },
                      "postalCodes": {
                        "list": "string"
                      },
                      "serialNumbers": {
                        "list": "string"
                      }
                    },
                    "always": []
                  },
                  "usages": {
                    "list": "string"
                  }
                },
                "always": [
                  "namespaceSelector"
                ]
              }
            }
          },
          "always": []
        },
        "rotation": {
          "fields": {
            "approval": "string",
            "propagationDelay": "string",
            "clusterTrustBundleDelay": "string",
            "reissuesPerSecond": "integer"
          },
          "always": [
            "approval",
            "propagationDelay",
            "clusterTrustBundleDelay",
            "reissuesPerSecond"
          ]
        },
        "trustBundle": {
          "fields": {
            "configMap": {
              "fields": {
                "name": "string",
                "namespaceSelector": {
                  "fields": {
                    "matchLabels": {
                      "map": "string"
                    },
                    "matchExpressions": {
                      "list": {
                        "fields": {
                          "key": "string",
                          "operator": "string",
                          "values": {
                            "list": "string"
                          }
                        },
                        "always": [
                          "key",
                          "operator"
                        ]
                      }
                    }
                  },
                  "always": []
                }
              },
              "always": [
                "name"
              ]
            },
            "clusterTrustBundle": "boolean"
          },
          "always": [
            "clusterTrustBundle"
          ]
        }
      },
      "always": [
        "secretName",
        "trustDomain",
        "clusterDomain",
        "rotation"
      ]
    },
    "status": {
      "fields": {
        "observedGeneration": "integer",
        "conditions": {
          "list": {
            "fields": {
              "type": "string",
              "status": "string",
              "observedGeneration": "integer",
              "lastTransitionTime": "string",
              "reason": "string",
              "message": "string"
            },
            "always": [
              "type",
              "status",
              "lastTransitionTime",
              "reason",
              "message"
            ]
          }
        },
        "activeRoot": {
          "fields": {
            "fingerprint": "string",
            "subject": "string",
            "notBefore": "string",
            "notAfter": "string"
          },
          "always": [
            "fingerprint",
            "subject",
            "notBefore",
            "notAfter"
          ]
        },
        "roots": {
          "list": {
            "fields": {
              "fingerprint": "string",
              "subject": "string",
              "notBefore": "string",
              "notAfter": "string"
            },
            "always": [
              "fingerprint",
              "subject",
              "notBefore",
              "notAfter"
            ]
          }
        },
        "trustBundle": "string",
        "crl": {
          "fields": {
            "revoked": "integer",
            "nextUpdate": "string"
          },
          "always": [
            "revoked",
            "nextUpdate"
          ]
        },
        "certificates": "integer",
        "lastHandledRotateRoot": "string",
        "rotation": {
          "fields": {
            "id": "string",
            "phase": "string",
            "startedAt": "string",
            "oldRoot": "string",
            "newRoot": "string",
            "aborting": "boolean",
            "approved": "string",
            "skipped": {
              "list": "string"
            },
            "progress": "string",
            "blockers": {
              "list": "string"
            }
          },
          "always": [
            "id",
            "phase",
            "startedAt"
          ]
        }
      },
      "always": []
    }
  },
  "MtlsCertificate": {
    "spec": {
      "fields": {
        "authorityRef": {
          "fields": {
            "name": "string"
          },
          "always": [
            "name"
          ]
        },
        "server": {
          "fields": {
            "secretName": "string",
            "service": "string",
            "commonName": "string",
            "dnsNames": {
              "list": "string"
            },
            "ipAddresses": {
              "list": "string"
            },
            "uris": {
              "list": "string"
            },
            "emailAddresses": {
              "list": "string"
            },
            "otherNames": {
              "list": {
                "fields": {
                  "oid": "string",
                  "utf8Value": "string"
                },
                "always": [
                  "oid",
                  "utf8Value"
                ]
              }
            },
            "usages": {
              "list": "string"
            }
          },
          "always": []
        },
        "client": {
          "fields": {
            "secretName": "string",
            "serviceAccount": "string",
            "commonName": "string",
            "dnsNames": {
              "list": "string"
            },
            "ipAddresses": {
              "list": "string"
            },
            "uris": {
              "list": "string"
            },
            "emailAddresses": {
              "list": "string"
            },
            "otherNames": {
              "list": {
                "fields": {
                  "oid": "string",
                  "utf8Value": "string"
                },
                "always": [
                  "oid",
                  "utf8Value"
                ]
              }
            },
            "usages": {
              "list": "string"
            }
          },
          "always": []
        },
        "peer": {
          "fields": {
            "secretName": "string",
            "service": "string",
            "serviceAccount": "string",
            "commonName": "string",
            "dnsNames": {
              "list": "string"
            },
            "ipAddresses": {
              "list": "string"
            },
            "uris": {
              "list": "string"
            },
            "emailAddresses": {
              "list": "string"
            },
            "otherNames": {
              "list": {
                "fields": {
                  "oid": "string",
                  "utf8Value": "string"
                },
                "always": [
                  "oid",
                  "utf8Value"
                ]
              }
            },
            "usages": {
              "list": "string"
            }
          },
          "always": []
        },
        "duration": "string",
        "renewBefore": "string",
        "renewBeforePercentage": "integer",
        "privateKey": {
          "fields": {
            "algorithm": "string",
            "size": "integer",
            "encoding": "string",
            "rotationPolicy": "string"
          },
          "always": [
            "algorithm",
            "encoding",
            "rotationPolicy"
          ]
        },
        "deletionPolicy": "string",
        "subject": {
          "fields": {
            "organizations": {
              "list": "string"
            },
            "organizationalUnits": {
              "list": "string"
            },
            "countries": {
              "list": "string"
            },
            "localities": {
              "list": "string"
            },
            "provinces": {
              "list": "string"
            },
            "streetAddresses": {
              "list": "string"
            },
            "postalCodes": {
              "list": "string"
            },
            "serialNumber": "string"
          },
          "always": []
        },
        "secretTemplate": {
          "fields": {
            "labels": {
              "map": "string"
            },
            "annotations": {
              "map": "string"
            }
          },
          "always": []
        },
        "outputs": {
          "fields": {
            "combinedPEM": "boolean",
            "der": "boolean",
            "crl": "boolean",
            "pkcs12": {
              "fields": {
                "passwordSecretRef": {
                  "fields": {
                    "name": "string",
                    "key": "string"
                  },
                  "always": [
                    "name",
                    "key"
                  ]
                }
              },
              "always": [
                "passwordSecretRef"
              ]
            }
          },
          "always": []
        }
      },
      "always": [
        "authorityRef",
        "duration",
        "privateKey",
        "deletionPolicy"
      ]
    },
    "status": {
      "fields": {
        "observedGeneration": "integer",
        "conditions": {
          "list": {
            "fields": {
              "type": "string",
              "status": "string",
              "observedGeneration": "integer",
              "lastTransitionTime": "string",
              "reason": "string",
              "message": "string"
            },
            "always": [
              "type",
              "status",
              "lastTransitionTime",
              "reason",
              "message"
            ]
          }
        },
        "lastHandledRotate": "string",
        "lastHandledRevoke": "string",
        "lastHandledRetry": "string",
        "lastFailureTime": "string",
        "failedIssuanceAttempts": "integer",
        "nextRetryTime": "string",
        "failures": {
          "list": {
            "fields": {
              "role": "string",
              "attempts": "integer",
              "lastFailureTime": "string",
              "nextRetryTime": "string",
              "message": "string"
            },
            "always": [
              "role",
              "attempts",
              "lastFailureTime",
              "nextRetryTime",
              "message"
            ]
          }
        },
        "notAfter": "string",
        "renewalTime": "string",
        "secrets": {
          "list": {
            "fields": {
              "role": "string",
              "secretName": "string",
              "serialNumber": "string",
              "fingerprint": "string",
              "authorityFingerprint": "string",
              "issuerId": "string",
              "publicKeyFingerprint": "string",
              "notBefore": "string",
              "notAfter": "string",
              "renewalTime": "string",
              "revision": "integer",
              "handledRotate": "string",
              "handledRevoke": "string",
              "repairs": {
                "fields": {
                  "count": "integer",
                  "lastTime": "string",
                  "changedBy": "string"
                },
                "always": [
                  "count",
                  "lastTime"
                ]
              },
              "replaced": {
                "list": {
                  "fields": {
                    "serialNumber": "string",
                    "authorityFingerprint": "string",
                    "issuerId": "string",
                    "notAfter": "string"
                  },
                  "always": [
                    "serialNumber",
                    "authorityFingerprint",
                    "notAfter"
                  ]
                }
              }
            },
            "always": [
              "role",
              "secretName",
              "serialNumber",
              "fingerprint",
              "authorityFingerprint",
              "notBefore",
              "notAfter",
              "renewalTime",
              "revision"
            ]
          }
        }
      },
      "always": []
    }
  }
} as const satisfies Record<string, Record<'spec' | 'status', Shape>>;
