// curve.cpp - learns the curve 1 / (1 + 25 x^2), on which polynomials fail (Runge 1901), with the class of network.hpp.
#include "network.hpp"

#include <cstdio>
#include <exception>
#include <thread>

static double runge(double x) { return 1 / (1 + 25 * x * x); }

// n points from -1 to 1
static std::vector<double> points(int n) {
    std::vector<double> x;
    for (int i = 0; i < n; i++) x.push_back(-1 + 2.0 * i / (n - 1));
    return x;
}

static void learn() {
    const std::vector<double> x = points(41);
    std::vector<double> y;
    for (double at : x) y.push_back(runge(at));

    Network net(1, {{12, CBP_ACT_tanh}, {1, CBP_ACT_identity}}, CBP_LOSS_half_squared_error, 1);
    std::printf("loss %.6f\n", net.fit(x, y, 2000, CBP_OPT_adam, 0.02));

    std::vector<double> left, right;
    std::thread other([&] { left = net.predict({-0.5, -0.1}); }); // one network, two threads
    right = net.predict({0.0, 0.3});
    other.join();
    std::printf("-0.5 %.2f %.2f\n-0.1 %.2f %.2f\n", left[0], runge(-0.5), left[1], runge(-0.1));
    std::printf(" 0.0 %.2f %.2f\n 0.3 %.2f %.2f\n", right[0], runge(0), right[1], runge(0.3));

    Network none(1, {}, CBP_LOSS_half_squared_error, 1); // throws
}

int main() {
    try {
        learn();
    } catch (const std::exception &error) {
        std::printf("refused: %s\n", error.what());
    }
    return 0;
}
