/* Implicit ALS in C with OpenBLAS, built by compare.py only, to stand beside the Go kernels.
 *
 *   gcc -O3 -march=native -o ials ials.c -lopenblas -lm -lpthread
 *   ials PAIRS START DIM THREADS EPOCHS EXTRA
 *
 * For every row: gather the other side's rows times sqrt(c), ssyrk, sposv. EXTRA is what is added to c on the
 * right-hand side only: 0 is the objective of models/MODEL.md, 1 that of the Python package implicit, whose
 * confidence is c + 1. Prints, for each epoch, wall and processor seconds, and at the end the loss of section 3
 * of MODEL.md and the length of the item factors. */
#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void openblas_set_num_threads(int);
void sposv_(const char *uplo, const int *n, const int *nrhs, float *a, const int *lda, float *b, const int *ldb, int *info);

static const float CONFIDENCE = 10, RIDGE = 1;

typedef struct { int rows; int64_t *starts; int32_t *cols; } csr;

static int dim, threads, extra;

static void *must(void *p) { if (!p) { perror("ials"); exit(1); } return p; }

static void get(void *to, size_t size, size_t n, FILE *f) {
	if (fread(to, size, n, f) != n) { fprintf(stderr, "ials: the file ends early\n"); exit(1); }
}

static csr transpose(csr m, int columns) {
	csr t = {columns, must(calloc(columns + 1, 8)), must(malloc(4 * m.starts[m.rows]))};
	for (int64_t k = 0; k < m.starts[m.rows]; k++) t.starts[m.cols[k] + 1]++;
	for (int c = 0; c < columns; c++) t.starts[c + 1] += t.starts[c];
	int64_t *next = must(malloc(8 * columns));
	memcpy(next, t.starts, 8 * columns);
	for (int r = 0; r < m.rows; r++)
		for (int64_t k = m.starts[r]; k < m.starts[r + 1]; k++) t.cols[next[m.cols[k]]++] = r;
	free(next);
	return t;
}

typedef struct { csr m; float *x, *y, *gram; atomic_int next; int longest; } half;

static void *work(void *arg) {
	half *h = arg;
	float *a = must(malloc(4 * dim * dim)), *v = must(malloc(4 * (size_t)dim * h->longest));
	const int one = 1;
	for (;;) {
		int lo = atomic_fetch_add(&h->next, 64), hi = lo + 64 < h->m.rows ? lo + 64 : h->m.rows;
		if (lo >= h->m.rows) break;
		for (int r = lo; r < hi; r++) {
			float *b = h->x + (size_t)r * dim, root = sqrtf(CONFIDENCE);
			memcpy(a, h->gram, 4 * dim * dim);
			memset(b, 0, 4 * dim);
			int n = h->m.starts[r + 1] - h->m.starts[r];
			const int32_t *ids = h->m.cols + h->m.starts[r];
			for (int k = 0; k < n; k++) {
				const float *y = h->y + (size_t)ids[k] * dim;
				if (k + 12 < n) {
					const char *ahead = (const char *)(h->y + (size_t)ids[k + 12] * dim);
					for (int j = 0; j < 4 * dim; j += 64) __builtin_prefetch(ahead + j);
				}
				for (int j = 0; j < dim; j++) {
					v[(size_t)k * dim + j] = root * y[j];
					b[j] += (CONFIDENCE + extra) * y[j];
				}
			}
			/* Row-major V' V, upper, is column-major lower. */
			if (n) cblas_ssyrk(CblasColMajor, CblasLower, CblasNoTrans, dim, n, 1, v, dim, 1, a, dim);
			for (int i = 0; i < dim; i++) a[i * dim + i] += RIDGE;
			int info;
			sposv_("L", &dim, &one, a, &dim, b, &dim, &info);
			if (info) { fprintf(stderr, "ials: row %d is not positive definite\n", r); exit(1); }
		}
	}
	free(a);
	free(v);
	return 0;
}

static void solve(csr m, float *x, float *y, int others, float *gram) {
	openblas_set_num_threads(threads);
	cblas_ssyrk(CblasColMajor, CblasLower, CblasNoTrans, dim, others, 1, y, dim, 0, gram, dim);
	openblas_set_num_threads(1);
	half h = {m, x, y, gram, 0, 1};
	for (int r = 0; r < m.rows; r++) {
		int n = m.starts[r + 1] - m.starts[r];
		if (n > h.longest) h.longest = n;
	}
	pthread_t t[64];
	for (int i = 1; i < threads; i++) pthread_create(&t[i], 0, work, &h);
	work(&h);
	for (int i = 1; i < threads; i++) pthread_join(t[i], 0);
}

static double gram_dot(const float *x, int n, const float *y, int m) {
	double *a = must(calloc(dim * dim, 8)), *b = must(calloc(dim * dim, 8)), sum = 0;
	for (int r = 0; r < n; r++)
		for (int i = 0; i < dim; i++)
			for (int j = 0; j < dim; j++) a[i * dim + j] += x[(size_t)r * dim + i] * x[(size_t)r * dim + j];
	for (int r = 0; r < m; r++)
		for (int i = 0; i < dim; i++)
			for (int j = 0; j < dim; j++) b[i * dim + j] += y[(size_t)r * dim + i] * y[(size_t)r * dim + j];
	for (int i = 0; i < dim * dim; i++) sum += a[i] * b[i];
	return sum;
}

static double loss(csr m, float *x, float *y, int items) {
	double sum = gram_dot(x, m.rows, y, items);
	for (int r = 0; r < m.rows; r++)
		for (int64_t k = m.starts[r]; k < m.starts[r + 1]; k++) {
			double miss = 1 - cblas_sdot(dim, x + (size_t)r * dim, 1, y + (size_t)m.cols[k] * dim, 1);
			sum += CONFIDENCE * miss * miss;
		}
	for (size_t i = 0; i < (size_t)m.rows * dim; i++) sum += RIDGE * x[i] * x[i];
	for (size_t i = 0; i < (size_t)items * dim; i++) sum += RIDGE * y[i] * y[i];
	return sum / m.starts[m.rows];
}

static double wall(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
	if (argc != 7) { fprintf(stderr, "usage: ials PAIRS START DIM THREADS EPOCHS EXTRA\n"); return 2; }
	dim = atoi(argv[3]), threads = atoi(argv[4]), extra = atoi(argv[6]);
	FILE *f = must(fopen(argv[1], "rb"));
	int64_t size[3];
	get(size, 8, 3, f);
	csr users = {size[0], must(malloc(8 * (size[0] + 1))), must(malloc(4 * size[2]))};
	get(users.starts, 8, size[0] + 1, f);
	get(users.cols, 4, size[2], f);
	fclose(f);
	csr items = transpose(users, size[1]);
	float *x = must(calloc(size[0] * dim, 4)), *y = must(malloc(4 * size[1] * dim)), *gram = must(calloc(dim * dim, 4));
	f = must(fopen(argv[2], "rb"));
	get(y, 4, size[1] * dim, f);
	fclose(f);
	for (int epoch = 0; epoch < atoi(argv[5]); epoch++) {
		double w = wall(), c = cpu();
		solve(users, x, y, size[1], gram);
		solve(items, y, x, size[0], gram);
		printf("epoch %.6f %.6f\n", wall() - w, cpu() - c);
	}
	double length = 0;
	for (size_t i = 0; i < (size_t)size[1] * dim; i++) length += (double)y[i] * y[i];
	printf("result %.9g %.9g\n", loss(users, x, y, size[1]), sqrt(length));
	return 0;
}
