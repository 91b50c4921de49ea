/* tls.c - OpenSSL as a client, with memory on both sides. */
#include "tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;      /* owned by ssl */
    bool is_open;
    char why[200];
};

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "no reason given";
}

static int trust(struct tls *self, const char *host, const char *ca_file)
{
    struct in6_addr address;
    bool is_number = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    int good = ca_file && *ca_file ? SSL_CTX_load_verify_locations(self->context, ca_file, NULL)
        : SSL_CTX_set_default_verify_paths(self->context);
    X509_VERIFY_PARAM *wanted = SSL_get0_param(self->ssl);
    SSL_set_verify(self->ssl, SSL_VERIFY_PEER, NULL);
    good = good && (is_number ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host) : X509_VERIFY_PARAM_set1_host(wanted, host, 0));
    return good ? 0 : -1;
}

static int prepare(struct tls *self, const char *host, const char *ca_file, bool verify)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    struct in6_addr address;
    self->context = SSL_CTX_new(TLS_client_method());
    self->ssl = self->context ? SSL_new(self->context) : NULL;
    self->in = BIO_new(BIO_s_mem());
    self->out = BIO_new(BIO_s_mem());
    assert(self->ssl && self->in && self->out);
    BIO_set_mem_eof_return(self->in, -1); /* empty: more will come */
    SSL_set_bio(self->ssl, self->in, self->out);
    SSL_set_connect_state(self->ssl);
    (void)SSL_set_mode(self->ssl, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_set_alpn_protos(self->ssl, alpn, sizeof alpn - 1);
    bool is_name = inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1;
    if (is_name && SSL_set_tlsext_host_name(self->ssl, host) != 1)
        return -1;
    return verify ? trust(self, host, ca_file) : 0;
}

/* Go on with the shaking of hands. */
static int shake(struct tls *self)
{
    ERR_clear_error();
    int got = SSL_do_handshake(self->ssl);
    if (got == 1) {
        self->is_open = true;
        return 0;
    }
    int error = SSL_get_error(self->ssl, got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    long verdict = SSL_get_verify_result(self->ssl);
    if (verdict != X509_V_OK)
        snprintf(self->why, sizeof self->why, "the certificate is refused: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(self->why, sizeof self->why, "TLS: %s", reason());
    return -1;
}

tls_t *tls_new(const char *host, const char *ca_file, bool verify, const char **why)
{
    struct tls *self = calloc(1, sizeof *self);
    assert(self);
    ERR_clear_error();
    if (prepare(self, host, ca_file, verify) == 0 && shake(self) == 0)
        return self;
    *why = ca_file && *ca_file ? "ca_file cannot be read as certificates" : reason();
    tls_destroy(&self);
    return NULL;
}

void tls_destroy(tls_t **self_p)
{
    struct tls *self = *self_p;
    if (!self)
        return;
    SSL_free(self->ssl);
    SSL_CTX_free(self->context);
    free(self);
    *self_p = NULL;
}

int tls_take(tls_t *self, struct slice bytes)
{
    assert(bytes.size <= INT_MAX);
    if (bytes.size > 0) {
        int put = BIO_write(self->in, bytes.data, (int)bytes.size);
        assert(put == (int)bytes.size); /* it is memory */
    }
    return self->is_open ? 0 : shake(self);
}

bool tls_is_open(const tls_t *self)
{
    return self->is_open;
}

ssize_t tls_read(tls_t *self, void *to, size_t room)
{
    size_t got = 0;
    ERR_clear_error();
    int good = SSL_read_ex(self->ssl, to, room, &got);
    if (good)
        return (ssize_t)got;
    int error = SSL_get_error(self->ssl, good);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        snprintf(self->why, sizeof self->why, "the connection was closed");
    else
        snprintf(self->why, sizeof self->why, "TLS: %s", reason());
    return -1;
}

int tls_write(tls_t *self, struct slice plain)
{
    size_t put = 0;
    ERR_clear_error();
    if (SSL_write_ex(self->ssl, plain.data, plain.size, &put) && put == plain.size)
        return 0;
    snprintf(self->why, sizeof self->why, "TLS: %s", reason());
    return -1;
}

size_t tls_pull(tls_t *self, void *to, size_t room)
{
    int got = BIO_read(self->out, to, room > INT_MAX ? INT_MAX : (int)room);
    return got > 0 ? (size_t)got : 0;
}

bool tls_has_output(const tls_t *self)
{
    return BIO_pending(self->out) > 0;
}

const char *tls_why(const tls_t *self)
{
    return self->why;
}
