function net = struct_network(s)
%STRUCT_NETWORK The network that cbp exported, as an object of MATLAB's toolbox.
n = numel(s.layers);
net = network(1, n, s.biasConnect, s.inputConnect, ...
    s.layerConnect, [zeros(1, n - 1), 1]);
net.inputs{1}.exampleInput = s.inputs{1}.exampleInput;
net.inputs{1}.processFcns = s.inputs{1}.processFcns;
for i = 1:n
    net.layers{i}.size = s.layers{i}.size;
    net.layers{i}.transferFcn = s.layers{i}.transferFcn;
end
net.outputs{n}.exampleOutput = s.outputs{n}.exampleOutput;
net.outputs{n}.processFcns = s.outputs{n}.processFcns;
net.performFcn = s.performFcn;
for i = 1:n
    if s.biasConnect(i), net.b{i} = s.b{i}; end
    if s.inputConnect(i), net.IW{i, 1} = s.IW{i, 1}; end
    for j = find(s.layerConnect(i, :)), net.LW{i, j} = s.LW{i, j}; end
end
end
