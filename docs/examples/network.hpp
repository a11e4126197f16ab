// network.hpp - a network of cbp as a C++11 class: it owns its plan and its numbers, and errors are exceptions. A start
// for a class of your own; docs/embed/c.md says how to build with it.
#ifndef NETWORK_HPP
#define NETWORK_HPP

#include <cbp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

class Network {
  public:
    struct Layer {
        int units;
        cbp_act activation;
    };

    /// The network n_in > layers, in double, with initial weights that depend on the seed alone.
    Network(int n_in, const std::vector<Layer> &layers, cbp_loss loss, std::uint64_t seed)
        : n_in_(n_in), n_out_(layers.empty() ? 0 : layers.back().units), net_(plan(n_in, layers, loss)),
          params_(static_cast<std::size_t>(cbp_n_params(net_.get()))) {
        const cbp_info *activations = cbp_table(CBP_ACTIVATIONS, nullptr);
        std::vector<cbp_initializer> rules;
        for (const Layer &layer : layers) rules.push_back(initializer(activations[layer.activation].partner));
        check(cbp_init(net_.get(), rules.data(), nullptr, seed, params_.data()));
    }

    /// All parameters, layer by layer, in an order that cbp.h tells.
    const std::vector<double> &params() const { return params_; }

    /// Outputs for the rows of x, one behind the other. Any number of threads may be here at once.
    std::vector<double> predict(const std::vector<double> &x) const {
        const std::int64_t n = rows(x, n_in_);
        std::vector<double> out(static_cast<std::size_t>(n) * static_cast<std::size_t>(n_out_));
        std::vector<char> work(cbp_work_bytes(net_.get(), n, CBP_PREDICT));
        cbp_mem mem = cbp_mem();
        mem.theta = const_cast<double *>(params_.data()); // predict does not modify it
        mem.work = work.data();
        check(cbp_predict(net_.get(), &mem, n, x.data(), out.data()));
        return out;
    }

    /// Full-batch training by an optimiser with the arguments of its row; returns the last loss.
    double fit(const std::vector<double> &x, const std::vector<double> &y, int epochs, cbp_optimizer kind,
               double rate) {
        cbp_data data = cbp_data();
        data.n = rows(x, n_in_);
        data.x = x.data();
        data.y = y.data();
        if (rows(y, cbp_n_targets(net_.get())) != data.n) throw std::invalid_argument("x and y differ in their rows");

        const cbp_info &row = cbp_table(CBP_OPTIMIZERS, nullptr)[kind];
        cbp_opt opt = cbp_opt();
        opt.kind = kind;
        for (int i = 0; row.arg[i].name; i++) opt.arg[i] = row.arg[i].value;

        std::vector<double> grad(params_.size()), slots(params_.size() * static_cast<std::size_t>(row.n_slots));
        std::vector<char> work(cbp_work_bytes(net_.get(), data.n, CBP_EPOCH));
        cbp_mem mem = cbp_mem();
        mem.theta = params_.data();
        mem.grad = grad.data();
        mem.slots = slots.data();
        mem.work = work.data();
        cbp_report report = cbp_report();
        for (int epoch = 0; epoch < epochs; epoch++)
            check(cbp_epoch(net_.get(), &mem, &opt, &data, nullptr, data.n, &rate, 1, &report));
        return report.loss;
    }

  private:
    struct Free {
        void operator()(cbp_net *net) const { cbp_net_free(net); }
    };
    typedef std::unique_ptr<cbp_net, Free> Plan;

    static void check(cbp_status status) {
        if (status != CBP_OK) throw std::runtime_error(cbp_message(status));
    }

    static Plan plan(int n_in, const std::vector<Layer> &layers, cbp_loss loss) {
        std::vector<cbp_dense> dense(layers.size(), cbp_dense()); // zeros: as before
        for (std::size_t l = 0; l < layers.size(); l++) {
            dense[l].units = layers[l].units;
            dense[l].act = layers[l].activation;
        }
        cbp_spec spec = cbp_spec();
        spec.dtype = CBP_FLOAT64;
        spec.n_in = n_in;
        spec.n_layers = static_cast<int>(layers.size());
        spec.layers = dense.data();
        spec.loss = loss;
        cbp_net *net = nullptr;
        check(cbp_net_new(&net, &spec));
        return Plan(net);
    }

    /// The initialiser of this name
    static cbp_initializer initializer(const std::string &name) {
        int n = 0;
        const cbp_info *row = cbp_table(CBP_INITIALIZERS, &n);
        for (int i = 0; i < n; i++)
            if (name == row[i].name) return static_cast<cbp_initializer>(i);
        throw std::invalid_argument("no such initialiser: " + name);
    }

    static std::int64_t rows(const std::vector<double> &matrix, int columns) {
        const std::size_t wide = static_cast<std::size_t>(columns);
        if (matrix.empty() || matrix.size() % wide != 0)
            throw std::invalid_argument("these are no rows of the network");
        return static_cast<std::int64_t>(matrix.size() / wide);
    }

    int n_in_, n_out_;
    Plan net_;
    std::vector<double> params_;
};

#endif
